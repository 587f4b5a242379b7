"""The HTTP application, made by plain constructor arguments."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from dp3.http.answers import Json, Refusal, refusal_response
from dp3.http.control import control_routes
from dp3.http.datapoint_log import DatapointLog
from dp3.http.datapoints import Datapoints
from dp3.http.dead_letters import dead_letter_routes
from dp3.http.entities import reading_routes, snapshot_routes, writing_routes
from dp3.http.entity_types import describe_types, with_counts
from dp3.http.health import health_routes
from dp3.http.intake import Disconnected, Intake
from dp3.http.jobs import job_routes
from dp3.http.listing import listing_routes
from dp3.http.measures import measure_routes
from dp3.http.metrics import Metrics
from dp3.http.openapi import describe_datapoints
from dp3.http.reading import EntityReads, PlainReads
from dp3.http.schemas import Detail, EntityType
from dp3.http.services import Services
from dp3.http.targets import Lookup, v1, v2
from dp3.http.telemetry import telemetry_routes
from dp3.http.writing import Writer
from dp3.store.ports.errors import QueryTooSlow

DATAPOINTS_PATH = "/datapoints"


def create_app(services: Services) -> ASGIApp:
    """The ASGI application.

    It closes what it opened itself (logs of data-points) at its lifespan's end; the services stay the
    caller's. Serve it with one event loop."""
    settings = services.settings
    intake = Intake(
        services.backlog,
        max_body=settings.max_body,
        max_in_flight=settings.max_concurrent_body,
        max_backlog=services.max_backlog,
    )
    writer = Writer(services.appender, services.store, services.wait_limit_s)
    good_log = _open_log(settings.datapoint_logger.good_log, services)
    bad_log = _open_log(settings.datapoint_logger.bad_log, services)
    datapoints = Datapoints(services.model, intake, writer, good_log=good_log, bad_log=bad_log)
    framework = _framework(services, [log for log in (good_log, bad_log) if log])
    lookup, reads = Lookup(services.model), EntityReads(services)
    _add_routes(framework, services, intake, writer, lookup, reads)
    metrics = Metrics(services, writer.accepted, datapoints.refused)
    framework.router.routes.append(Route("/metrics", metrics.answer, include_in_schema=False))
    framework.router.routes.append(Route(DATAPOINTS_PATH, datapoints, methods=["POST"]))
    root_path = services.root_path.rstrip("/")
    return CORSMiddleware(
        Shortcut(framework, datapoints, PlainReads(lookup, reads, root_path), root_path),
        allow_origins=settings.cors.allow_origins,
        allow_methods=["*"],
        allow_headers=["*"],
    )


class Shortcut:
    """Hands `POST /datapoints` and plain reads past the framework, which costs more than storing a
    data-point or reading an entity.

    All see the prefix that a reverse proxy puts before all paths, if there is one."""

    def __init__(self, framework: ASGIApp, datapoints: ASGIApp, reads: PlainReads, root_path: str) -> None:
        self._framework = framework
        self._datapoints = datapoints
        self._reads = reads
        self._root_path = root_path
        self._paths = {DATAPOINTS_PATH, self._root_path + DATAPOINTS_PATH}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._root_path:
            scope = {**scope, "root_path": self._root_path}
        await self._app_for(scope)(scope, receive, send)

    def _app_for(self, scope: Scope) -> ASGIApp:
        if scope["type"] != "http":
            return self._framework
        if scope["method"] == "POST" and scope["path"] in self._paths:
            return self._datapoints
        return self._reads.find(scope) or self._framework


def _open_log(path: Path | None, services: Services) -> DatapointLog | None:
    return None if path is None else DatapointLog(path, services.clock)


def _framework(services: Services, logs: list[DatapointLog]) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        for log in logs:
            log.close()

    app = FastAPI(title="DP³", lifespan=lifespan)
    app.add_exception_handler(Refusal, refusal_response)
    app.add_exception_handler(Disconnected, _nobody_listens)
    app.add_exception_handler(QueryTooSlow, _too_slow)
    app.openapi = _with_datapoints(app.openapi)  # type: ignore[method-assign]
    return app


def _with_datapoints(openapi: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    return lambda: describe_datapoints(openapi(), DATAPOINTS_PATH)


async def _nobody_listens(_: Request, __: Exception) -> Response:
    return Response(status_code=400)


async def _too_slow(_: Request, error: Exception) -> Response:
    return Json({"detail": str(error)}, 503)


def _add_routes(
    app: FastAPI, services: Services, intake: Intake, writer: Writer, lookup: Lookup, reads: EntityReads
) -> None:
    app.include_router(_root_routes(services))
    for addressing in (v1(lookup), v2(lookup)):
        app.include_router(listing_routes(services, lookup, addressing, intake))
        app.include_router(reading_routes(services, lookup, addressing, reads))
        app.include_router(writing_routes(services, addressing, intake, writer))
        app.include_router(snapshot_routes(services, addressing))
    app.include_router(control_routes(services))
    app.include_router(telemetry_routes(services))
    app.include_router(measure_routes(services))
    app.include_router(job_routes(services))
    app.include_router(health_routes(services))
    app.include_router(dead_letter_routes(services))


def _root_routes(services: Services) -> APIRouter:
    router = APIRouter()
    types = describe_types(services.model)

    @router.get("/", response_model=Detail)
    async def root() -> Response:
        """The API answers."""
        return Json({"detail": "It works!"})

    @router.get("/entities", response_model=dict[str, EntityType])
    def entities() -> Response:
        """Entity types, their attributes and how many entities there are."""
        return Json(with_counts(types, services.store.entities.counts()))

    return router
