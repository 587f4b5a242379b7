"""The HTTP application, made by plain constructor arguments."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Header, Query
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from dp3.http.answers import REFUSED, Json, refusal_response
from dp3.http.control import control_routes
from dp3.http.datapoint_log import DatapointLog
from dp3.http.datapoints import DATAPOINTS_PATH, MAX_KEY, Datapoints
from dp3.http.dead_letters import dead_letter_routes
from dp3.http.entities import reading_routes, snapshot_routes, writing_routes
from dp3.http.intake import Disconnected, Intake
from dp3.http.listings import listing_routes
from dp3.http.metrics import Metrics
from dp3.http.parameters import Lookup, v1, v2
from dp3.http.schemas import WRITTEN, Detail, EntityType, Written
from dp3.http.services import Services
from dp3.http.shortcut import Shortcut
from dp3.http.telemetry import health_routes, telemetry_routes
from dp3.http.validation import DataPoint
from dp3.http.writing import Writer


def create_app(services: Services) -> ASGIApp:
    """The ASGI application.

    It closes what it opened itself (logs of data-points) at its lifespan's end; the services stay the
    caller's. Serve it with one event loop."""
    settings = services.settings
    intake = Intake(
        services.reads.backlog,
        max_body=settings.max_body,
        max_in_flight=settings.max_concurrent_body,
        max_backlog=services.max_backlog,
    )
    writer = Writer(services.appender, services.store, services.wait_limit_s)
    good_log = _open_log(settings.datapoint_logger.good_log, services)
    bad_log = _open_log(settings.datapoint_logger.bad_log, services)
    datapoints = Datapoints(services, intake, writer, good_log=good_log, bad_log=bad_log)
    framework = _framework(services, [log for log in (good_log, bad_log) if log])
    lookup = Lookup(services.model)
    _add_routes(framework, services, intake, writer, lookup)
    metrics = Metrics(services, writer.accepted, datapoints.refused)
    framework.router.routes.append(Route("/metrics", metrics.answer, include_in_schema=False))
    framework.router.routes.append(Route(DATAPOINTS_PATH, datapoints, methods=["POST"]))
    return CORSMiddleware(
        Shortcut(framework, datapoints, lookup, services.reads.profiles, services.root_path.rstrip("/")),
        allow_origins=settings.cors.allow_origins,
        allow_methods=["*"],
        allow_headers=["*"],
    )


def _open_log(path: Path | None, services: Services) -> DatapointLog | None:
    return None if path is None else DatapointLog(path, services.clock)


def _framework(services: Services, logs: list[DatapointLog]) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        for log in logs:
            log.close()

    app = FastAPI(title="DP³", lifespan=lifespan)
    for error in REFUSED:
        app.add_exception_handler(error, refusal_response)
    app.add_exception_handler(Disconnected, _nobody_listens)
    app.openapi = partial(_describe_all, app.openapi)  # type: ignore[method-assign]
    return app


async def _nobody_listens(_: Request, __: Exception) -> Response:
    return Response(status_code=400)


def _add_routes(app: FastAPI, services: Services, intake: Intake, writer: Writer, lookup: Lookup) -> None:
    app.include_router(_root_routes(services))
    for addressing in (v1(lookup), v2(lookup)):
        app.include_router(listing_routes(services, lookup, addressing, intake))
        app.include_router(reading_routes(services, lookup, addressing))
        app.include_router(writing_routes(services, addressing, intake, writer))
        app.include_router(snapshot_routes(services, addressing))
    app.include_router(control_routes(services))
    app.include_router(telemetry_routes(services))
    app.include_router(health_routes(services))
    app.include_router(dead_letter_routes(services))


def _root_routes(services: Services) -> APIRouter:
    router = APIRouter()

    @router.get("/", response_model=Detail)
    async def root() -> Response:
        """The API answers."""
        return Json({"detail": "It works!"})

    @router.get("/entities", response_model=dict[str, EntityType])
    def entities() -> Response:
        """Entity types, their attributes and how many entities there are."""
        return Json(services.reads.entity_types.all())

    return router


def _describe_all(openapi: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The OpenAPI description of all routes, also of `POST /datapoints`, which the framework does not see."""
    document = openapi()
    if DATAPOINTS_PATH not in document["paths"]:
        own = get_openapi(title="", version="", routes=[_datapoints_route()])
        document["paths"] |= own["paths"]
        document.setdefault("components", {}).setdefault("schemas", {}).update(own["components"]["schemas"])
    return document


def _datapoints_route() -> APIRoute:
    async def insert_datapoints(
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
        insert_datapoints,
        methods=["POST"],
        response_model=Written,
        responses=WRITTEN,
    )
