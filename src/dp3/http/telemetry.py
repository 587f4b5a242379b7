"""Routes for operators: is it alive, is it ready, how far is it behind, what it did and measured."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from dp3.http.answers import Json, invalid_value
from dp3.http.parameters import InSpan
from dp3.http.pools import Once
from dp3.http.schemas import (
    BUSY,
    INVALID,
    AttributeSizes,
    EventCountsAnswer,
    LogState,
    Queues,
    Readiness,
    SnapshotSummary,
)
from dp3.http.services import Services
from dp3.http.unknown_names import route_class
from dp3.model.durations import parse_time_duration
from dp3.reads.backlog import HEARTBEAT_LIMIT_S
from dp3.reads.telemetry import MODULE
from dp3.store.ports.counters import EventGroup

UNIT_US = {"minutes": 60_000_000, "seconds": 1_000_000}

NOT_READY: dict[int | str, dict[str, Any]] = {503: {"model": Readiness, "description": "Not ready, and why"}}

Limit = Annotated[int, Query(ge=1, le=10_000)]
"""Records of one answer."""

Records = list[dict[str, Any]]


def telemetry_routes(services: Services) -> APIRouter:
    """`/telemetry`: snapshot runs, what is stored and what happened, what workers have done by themselves."""
    router = APIRouter(
        prefix="/telemetry",
        tags=["telemetry"],
        responses=INVALID | BUSY,
        route_class=route_class(services.model),
    )
    _add_runs(router, services)
    _add_measured(router, services)
    _add_jobs(router, services)
    return router


def _add_runs(router: APIRouter, services: Services) -> None:
    runs, json = services.reads.runs, services.rendering.json
    operating = services.pools.operating.serves

    @router.get("/snapshot_summary", response_model=SnapshotSummary)
    @operating
    def get_snapshot_summary() -> Response:
        """The age of the snapshots."""
        return json(runs.summary())

    @router.get("/metadata", response_model=list[dict[str, Any]])
    @operating
    def get_metadata(
        span: InSpan,
        module: str | None = None,
        skip: Annotated[int, Query(ge=0, lt=1 << 31)] = 0,
        limit: Annotated[int, Query(ge=0, lt=1 << 31, description="0: as many as an answer may have")] = 0,
        sort: Literal["newest", "oldest"] = "newest",
    ) -> Response:
        """Records of snapshot runs."""
        if module not in (None, MODULE):
            return json([])
        return json(runs.records(*span.bounds(), skip, limit, newest_first=sort == "newest"))


def _add_measured(router: APIRouter, services: Services) -> None:
    telemetry, workers = services.reads.telemetry, services.reads.workers
    json, operating = services.rendering.json, services.pools.operating.serves

    @router.get("/sources_validity", response_model=dict[str, Any])
    @operating
    def get_sources_validity() -> Response:
        """The latest end of validity of the data-points of each source."""
        return json(telemetry.sources())

    @router.get("/sources_age", response_model=dict[str, int])
    @operating
    def get_sources_age(unit: Literal["minutes", "seconds"] = "minutes") -> Response:
        """The time since the latest end of validity of the data-points of each source, in whole units."""
        return json(telemetry.source_ages(UNIT_US[unit]))

    @router.get("/entities_per_attr", response_model=dict[str, dict[str, int]])
    @services.pools.queries.serves
    def get_entities_per_attr() -> Response:
        """The number of entities that have data of each attribute."""
        return json(telemetry.entities_per_attribute())

    @router.get("/attribute_bson_sizes", response_model=dict[str, AttributeSizes])
    @operating
    def get_attribute_bson_sizes() -> Response:
        """Sizes of stored values, as they were last measured."""
        return json(telemetry.attribute_sizes())

    @router.get("/event_counts", response_model=EventCountsAnswer)
    @operating
    def get_event_counts(group: str, interval: str) -> Response:
        """Events of a group in the current interval and the one before."""
        span = _interval(services, group, interval) // timedelta(microseconds=1)
        return json({"group": group, "interval": interval, **telemetry.event_counts(group, span)})

    @router.get("/rabbitmq/queues", response_model=Queues)
    @operating
    def get_queues() -> Response:
        """The backlog of each worker in each lane of the log."""
        return json({"queues": workers.queues(services.worker_processes)})


def _interval(services: Services, group: str, text: str) -> timedelta:
    """An interval over which the events of a group are counted."""
    known: EventGroup | None = services.event_groups.get(group)
    if known is None:
        names = ", ".join(sorted(services.event_groups)) or "none"
        raise invalid_value(["query", "group"], f"Group '{group}' is not counted; those that are: {names}")
    try:
        interval = parse_time_duration(text)
    except ValueError as error:
        raise invalid_value(["query", "interval"], str(error)) from None
    if interval not in known.intervals:
        intervals = ", ".join(map(str, known.intervals))
        raise invalid_value(["query", "interval"], f"Group '{group}' is counted over {intervals}, got {text}")
    return interval


def _add_jobs(router: APIRouter, services: Services) -> None:
    jobs, json = services.reads.jobs, services.rendering.json
    operating = services.pools.operating.serves

    @router.get("/updates", response_model=Records)
    @operating
    def get_updates(limit: Limit = 100) -> Response:
        """The latest cycles of periodic hooks."""
        return json(jobs.updates(limit))

    @router.get("/collections", response_model=Records)
    @operating
    def get_collections(limit: Limit = 100) -> Response:
        """The latest collections of each worker."""
        return json(jobs.collections(limit))

    @router.get("/retention", response_model=Records)
    @operating
    def get_retention(limit: Limit = 100) -> Response:
        """The latest cleanings of history by each worker."""
        return json(jobs.retention(limit))


def health_routes(services: Services) -> APIRouter:
    """`/health`, which waits for nothing that others may fill, and `/telemetry/log`."""
    router = APIRouter(route_class=route_class(services.model))
    problems = Once(lambda: services.pools.state.run(_problems, services))

    @router.get("/health/live", tags=["health"], response_model=Readiness)
    async def get_liveness() -> Response:
        """The process answers."""
        return Json({"status": "alive"})

    @router.get("/health/ready", tags=["health"], response_model=Readiness, responses=NOT_READY)
    async def get_readiness() -> Response:
        """Every worker is working and new data can be stored."""
        reasons = await problems()
        if reasons:
            return Json({"status": "not ready", "reasons": reasons}, 503)
        return Json({"status": "ready", "reasons": []})

    @router.get("/telemetry/log", tags=["telemetry"], response_model=LogState, responses=BUSY)
    @services.pools.operating.serves
    def get_log_state() -> Response:
        """The backlog of the workers in the log."""
        return Json(services.reads.backlog.report())

    return router


def _problems(services: Services) -> list[str]:
    return [*services.reads.workers.problems(services.worker_processes), *_log_problems(services)]


def _log_problems(services: Services) -> Iterator[str]:
    failure = services.appender.failure(HEARTBEAT_LIMIT_S)
    if failure is not None:
        yield f"the log refuses new data: {failure}"
    unprocessed = services.reads.backlog.unprocessed_bytes()
    if unprocessed > services.max_backlog:
        yield f"{unprocessed} bytes wait to be processed, the limit is {services.max_backlog}"
