"""Routes for operators: is it alive, is it ready, how far is it behind."""

from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from dp3.http.answers import Json
from dp3.http.schemas import LogState, Readiness
from dp3.http.services import Services

HEARTBEAT_LIMIT_S = 15
"""A worker that has not said for so long that it is alive is not. Nor is it known of one that said so in the
future, as it seems after the clock was set back."""

NOT_READY: dict[int | str, dict[str, Any]] = {503: {"model": Readiness, "description": "Not ready, and why"}}


def health_routes(services: Services) -> APIRouter:
    """`/health` and `/telemetry/log`."""
    router = APIRouter()

    @router.get("/health/live", response_model=Readiness)
    async def live() -> Response:
        """The process answers."""
        return Json({"status": "alive"})

    @router.get("/health/ready", response_model=Readiness, responses=NOT_READY)
    def ready() -> Response:
        """Every worker is working and new data can be stored."""
        reasons = [*_worker_problems(services), *_log_problems(services)]
        if reasons:
            return Json({"status": "not ready", "reasons": reasons}, 503)
        return Json({"status": "ready", "reasons": []})

    @router.get("/telemetry/log", response_model=LogState)
    def log_state() -> Response:
        """How far the workers are behind the log."""
        oldest = services.backlog.oldest_append_time()
        age = None if oldest is None else max(services.clock.now_us() - oldest, 0) / 1e6
        return Json(
            {
                "unprocessed_bytes": services.backlog.unprocessed_bytes(),
                "oldest_unprocessed_age_s": age,
                "partitions": list(_partitions(services)),
            }
        )

    return router


def _worker_problems(services: Services) -> Iterator[str]:
    now = services.clock.now_us()
    states = {state.lease.index: state for state in services.store.leases.all()}
    for index in range(services.worker_processes):
        state = states.get(index)
        if state is None:
            yield f"worker {index} is not running"
        elif (silent_s := (now - state.heartbeat) / 1e6) > HEARTBEAT_LIMIT_S:
            yield f"worker {index} has been silent for {silent_s:.0f} s"
        elif silent_s < -HEARTBEAT_LIMIT_S:
            yield f"worker {index} has not been heard of since the clock was set back"
        elif state.status != "working":
            yield f"worker {index}: {state.status}"


def _log_problems(services: Services) -> Iterator[str]:
    failure = services.appender.failure(HEARTBEAT_LIMIT_S)
    if failure is not None:
        yield f"the log refuses new data: {failure}"
    unprocessed = services.backlog.unprocessed_bytes()
    if unprocessed > services.max_backlog:
        yield f"{unprocessed} bytes wait to be processed, the limit is {services.max_backlog}"


def _partitions(services: Services) -> Iterator[dict[str, Any]]:
    for lag in services.backlog.partitions():
        yield {
            "partition": lag.partition,
            "lane": lag.lane.name.lower(),
            "position": lag.position,
            "head": lag.head,
            "lag": lag.lag,
        }
