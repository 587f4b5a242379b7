"""Routes about snapshot runs."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from dp3.clock import to_datetime
from dp3.http.answers import Json
from dp3.http.entities import span
from dp3.http.schemas import INVALID, SnapshotSummary
from dp3.http.services import Services
from dp3.reads.profiles import Span
from dp3.store.ports.runs import Phase, Run, WorkerRun
from dp3.store.ports.state import State

MODULE = "SnapShooter"
"""The name under which the reference implementation keeps records of runs."""

MAX_RUNS = 10_000
"""Runs of one answer."""

LOOK_BACK = 1_000
"""The latest complete run is looked for among so many of the latest."""

PAGE = 20
"""Runs that are looked at together: as a rule one of the latest is complete."""

COMPLETE = "complete"

_STARTS = ("task_creation_start", "components_loaded", "task_creation_end")
"""Steps of the reference implementation that take no time here: workers find their work themselves."""


def telemetry_routes(services: Services) -> APIRouter:
    """`/telemetry/snapshot_summary` and `/telemetry/metadata`."""
    router = APIRouter(prefix="/telemetry", responses=INVALID)
    store = services.store

    @router.get("/snapshot_summary", response_model=SnapshotSummary)
    def snapshot_summary() -> Response:
        """How old the snapshots are."""
        return Json(_summary(store, services.clock.now_us()))

    @router.get("/metadata", response_model=list[dict[str, Any]])
    def metadata(
        span: Annotated[Span, Depends(span)],
        module: str | None = None,
        skip: Annotated[int, Query(ge=0, lt=1 << 31)] = 0,
        limit: Annotated[int, Query(ge=0, lt=1 << 31, description="0: as many as an answer may have")] = 0,
        sort: Literal["newest", "oldest"] = "newest",
    ) -> Response:
        """Records of snapshot runs."""
        if module not in (None, MODULE):
            return Json([])
        rows = min(limit or MAX_RUNS, MAX_RUNS)
        shown = store.runs.begun(*span.bounds(), skip, rows, newest_first=sort == "newest")
        return Json([_record(run, store.runs.workers(run.id)) for run in shown])

    return router


def latest_complete(store: State) -> Run | None:
    """The latest run that was completed, if it is one of the latest `LOOK_BACK`."""
    before = None
    for _ in range(LOOK_BACK // PAGE):
        runs = store.runs.last(PAGE, before)
        if not runs:
            return None
        if complete := next((run for run in runs if run.status == COMPLETE), None):
            return complete
        before = runs[-1].id
    return None


def _summary(store: State, now: int) -> dict[str, Any]:
    latest = next(iter(store.runs.last(1)), None)
    finished = latest_complete(store)
    if finished is None:
        return {"latest_age": _age(latest, now), "finished_age": None, "entities": None, "total_s": None}
    return {
        "latest_age": _age(latest, now),
        "finished_age": _age(finished, now),
        "entities": sum(row.entities for row in store.runs.workers(finished.id)),
        "total_s": (finished.updated - finished.started) / 1e6,
    }


def _age(run: Run | None, now: int) -> float | None:
    return None if run is None else max(now - run.time, 0) / 1e6


def _record(run: Run, workers: list[WorkerRun]) -> dict[str, Any]:
    """A run in the form that existing clients know, with what else is known of it."""
    finished = [row for row in workers if row.done in (Phase.WORK, Phase.FINALIZE)]
    return {
        "_id": f"{MODULE}{to_datetime(run.time):%Y-%m-%dT%H:%M:%S.%fZ}w0",
        "#module": MODULE,
        "#time_created": to_datetime(run.started),
        "#last_update": to_datetime(run.updated),
        **dict.fromkeys(_STARTS, to_datetime(run.started)),
        "entities": sum(row.entities for row in workers),
        "components": run.detail.get("components", 0),
        "workers_finished": len(finished),
        "linked_finished": run.phase in (Phase.FINALIZE, Phase.CLOSED),
        "time": to_datetime(run.time),
        "phase": run.phase.value,
        "status": run.status,
        "written": sum(row.written for row in workers),
        "failed": sum(row.failed for row in workers),
        "detail": run.detail,
    }
