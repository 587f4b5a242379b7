"""The HTTP application, made by plain constructor arguments."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

from fastapi import APIRouter, FastAPI, Header, Query
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Scope
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from dp3.config.sections import AuthSettings
from dp3.http.access import Access
from dp3.http.answers import REFUSED, Disconnected, Json, refusal_response
from dp3.http.callers import callers_of
from dp3.http.changes import StateChanges
from dp3.http.control import control_routes
from dp3.http.cors import Cors
from dp3.http.data_age import DataAge
from dp3.http.datapoint_log import DatapointLog
from dp3.http.datapoints import DATAPOINTS_PATH, MAX_KEY, Datapoints
from dp3.http.dead_letters import dead_letter_routes
from dp3.http.docs_page import docs_routes
from dp3.http.entities import reading_routes, snapshot_routes, writing_routes
from dp3.http.intake import Bodies, Intake
from dp3.http.listings import MAX_QUESTION, MAX_QUESTIONS, listing_routes
from dp3.http.metrics import Metrics
from dp3.http.origin import OriginPolicy
from dp3.http.parameters import Lookup, v1, v2
from dp3.http.redirect import SlashRedirect
from dp3.http.remarks import Remarked
from dp3.http.rules import Permission, Rules
from dp3.http.schemas import BUSY, WRITTEN, Detail, EntityType, Written
from dp3.http.services import Services
from dp3.http.shortcut import Shortcut
from dp3.http.telemetry import health_routes, telemetry_routes
from dp3.http.unknown_names import route_class
from dp3.http.validation import DataPoint
from dp3.http.writing import Writer
from dp3.model.canonical import encode_json

REFUSALS = {"401": "A token is needed that counts", "403": "The role does not go so far"}
"""Answers to those who may not, in the description of the API."""


TAGS = {
    "data-points": "Sending data",
    "entities": "Reading and changing entities; ids in the path",
    "entities v2": "The same with ids as parameters, for ids with any characters",
    "control": "Asking the workers for something",
    "telemetry": "What the platform did, measured, and has still to do",
    "dead letters": "What failed",
    "health": "Whether the API answers and the workers work",
}
"""Groups of routes, in the description of the API."""


def create_app(services: Services) -> ASGIApp:
    """The ASGI application.

    It closes what it opened itself (logs of data-points) at its lifespan's end; the services stay the
    caller's. Serve it with one event loop."""
    settings = services.settings
    intake = Intake(
        services.reads.backlog,
        services.pools,
        max_body=settings.max_body,
        max_in_flight=settings.max_concurrent_body,
        max_backlog=services.max_backlog,
    )
    changes = StateChanges(services.store.changes, services.pools.state)
    writer = Writer(services.appender, services.store, changes, services.wait_limit_s)
    good_log = _open_log(settings.datapoint_logger.good_log, services)
    bad_log = _open_log(settings.datapoint_logger.bad_log, services)
    datapoints = Datapoints(services, intake, writer, good_log=good_log, bad_log=bad_log)
    framework = _framework([log for log in (good_log, bad_log) if log])
    lookup = Lookup(services.model)
    _add_routes(framework, services, intake, writer, datapoints.remarked, changes, lookup)
    metrics = Metrics(services, writer.accepted, datapoints.refused, datapoints.remarked.counts)
    framework.router.routes.append(Route("/metrics", metrics.answer, include_in_schema=False))
    framework.router.routes.append(Route(DATAPOINTS_PATH, datapoints, methods=["POST"]))
    framework.router.routes.extend(docs_routes())
    root_path = services.root_path.rstrip("/")
    framework.router.routes.append(description_route(framework, root_path))
    policy = OriginPolicy(
        allow_origins=settings.cors.allow_origins,
        allowed_hosts=settings.allowed_hosts,
        bound_host=services.bound_host,
    )
    shortcut: ASGIApp = Shortcut(framework, datapoints, lookup, services, root_path)
    if services.data_age_s is not None:
        shortcut = DataAge(shortcut, services.data_age_s, root_path)
    has_route = partial(_has_route, framework, root_path)
    return Cors(_access(shortcut, services, policy, has_route, root_path), policy)


def _has_route(framework: FastAPI, root_path: str, scope: Scope) -> bool:
    below = {**scope, "root_path": root_path}
    return any(route.matches(below)[0] is Match.FULL for route in framework.router.routes)


def _access(
    app: ASGIApp,
    services: Services,
    policy: OriginPolicy,
    has_route: Callable[[Scope], bool],
    root_path: str,
) -> ASGIApp:
    """The addresses of clients are those that the proxies tell, if there are some; but in mode `proxy`
    `Access` needs the address of the proxy itself."""
    auth = services.settings.auth
    callers = callers_of(auth, services.store.tokens, services.clock)
    access = partial(
        Access,
        callers=callers,
        origins=policy,
        has_route=has_route,
        audit=services.audit,
        root_path=root_path,
    )
    if not auth.proxy.addresses:
        return access(app)
    if auth.mode == "proxy":
        return access(_with_told_addresses(app, auth))
    return _with_told_addresses(access(app), auth)


def _with_told_addresses(app: ASGIApp, auth: AuthSettings) -> ASGIApp:
    proxies = [str(network) for network in auth.proxy.addresses]
    return cast("ASGIApp", ProxyHeadersMiddleware(cast("Any", app), proxies))


def _open_log(path: Path | None, services: Services) -> DatapointLog | None:
    return None if path is None else DatapointLog(services.files.open(path), services.clock)


def _framework(logs: list[DatapointLog]) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        for log in logs:
            log.close()

    app = FastAPI(
        title="DP³",
        lifespan=lifespan,
        openapi_url=None,
        redirect_slashes=False,
        openapi_tags=[{"name": tag, "description": meaning} for tag, meaning in TAGS.items()],
        generate_unique_id_function=operation_id,
    )
    app.router.default = SlashRedirect(app.router.routes)
    for error in REFUSED:
        app.add_exception_handler(error, refusal_response)
    app.add_exception_handler(Disconnected, _nobody_listens)
    app.openapi = partial(_describe_all, app.openapi)  # type: ignore[method-assign]
    return app


async def _nobody_listens(_: Request, __: Exception) -> Response:
    return Response(status_code=400)


def _add_routes(
    app: FastAPI,
    services: Services,
    intake: Intake,
    writer: Writer,
    remarked: Remarked,
    changes: StateChanges,
    lookup: Lookup,
) -> None:
    questions = Bodies(MAX_QUESTION, MAX_QUESTIONS, "ask several questions")
    app.include_router(_root_routes(services))
    for addressing in (v1(lookup), v2(lookup)):
        app.include_router(listing_routes(services, lookup, addressing, questions))
        app.include_router(reading_routes(services, lookup, addressing))
        app.include_router(writing_routes(services, addressing, intake, writer, remarked))
        app.include_router(snapshot_routes(services, addressing))
    app.include_router(control_routes(services))
    app.include_router(telemetry_routes(services))
    app.include_router(health_routes(services))
    app.include_router(dead_letter_routes(services, changes))


def _root_routes(services: Services) -> APIRouter:
    router = APIRouter(responses=BUSY, route_class=route_class(services.model))

    @router.get("/", tags=["health"], response_model=Detail)
    async def get_root() -> Response:
        """The API answers."""
        return Json({"detail": "It works!"})

    @router.get("/entities", tags=["entities"], response_model=dict[str, EntityType])
    @services.pools.reading.serves
    def get_entity_types() -> Response:
        """Entity types, their attributes and how many entities there are."""
        return Json(services.reads.entity_types.all())

    return router


def operation_id(route: APIRoute) -> str:
    """The name of a route in the description: that of its function, which therefore has to stay as it is."""
    return f"{route.name}_v2" if route.path.startswith("/v2/") else route.name


def description_route(app: FastAPI, root_path: str) -> Route:
    """`/openapi.json`, encoded once: it is long."""

    @cache
    def encoded() -> bytes:
        servers = {"servers": [{"url": root_path}]} if root_path else {}
        return encode_json(app.openapi() | servers)

    async def description(_: Request) -> Response:
        return Response(encoded(), media_type="application/json")

    return Route("/openapi.json", description, include_in_schema=False)


def _describe_all(openapi: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The OpenAPI description of all routes, also of `POST /datapoints`, which the framework does not see."""
    document = openapi()
    if DATAPOINTS_PATH not in document["paths"]:
        own = get_openapi(title="", version="", routes=[_datapoints_route()])
        document["paths"] |= own["paths"]
        document.setdefault("components", {}).setdefault("schemas", {}).update(own["components"]["schemas"])
        _describe_access(document)
    return document


def _describe_access(document: dict[str, Any]) -> None:
    """Say where requests may need a token, and how those that may not are answered."""
    document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    refusal = {"application/json": {"schema": {"$ref": "#/components/schemas/Detail"}}}
    rules = Rules()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            rule = rules.find(method.upper(), path)
            if rule is None or rule.permission is not Permission.OPEN:
                operation["security"] = [{"token": []}, {}]
                for status, meaning in REFUSALS.items():
                    operation["responses"].setdefault(status, {"description": meaning, "content": refusal})


def _datapoints_route() -> APIRoute:
    async def post_datapoints(
        datapoints: list[DataPoint],
        wait: bool = Query(
            False, description="Answer when the data-points have been applied, at most 10 s later"
        ),
        idempotency_key: str | None = Header(
            None,
            min_length=1,
            max_length=MAX_KEY,
            pattern="^[!-~]+$",
            description="A repeat with this key within 24 h gets the first answer and adds nothing",
        ),
    ) -> None:
        """Store data-points: all of them, durably, or none."""

    return APIRoute(
        DATAPOINTS_PATH,
        post_datapoints,
        methods=["POST"],
        tags=["data-points"],
        generate_unique_id_function=operation_id,
        response_model=Written,
        responses=WRITTEN,
    )
