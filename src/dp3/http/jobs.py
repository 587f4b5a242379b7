"""What workers have done by themselves."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from dp3.clock import to_datetime
from dp3.hooks.kinds import HOOK_SPECS
from dp3.http.answers import Json
from dp3.http.schemas import INVALID
from dp3.http.services import Services
from dp3.store.ports.lifetimes import Collection
from dp3.store.ports.retention import RetentionPass
from dp3.store.ports.updates import UpdateCycle

Limit = Annotated[int, Query(ge=1, le=10_000)]
"""Records of one answer."""

Records = list[dict[str, Any]]


def job_routes(services: Services) -> APIRouter:
    """`/telemetry/updates`, `/telemetry/collections` and `/telemetry/retention`."""
    router = APIRouter(prefix="/telemetry", responses=INVALID)
    store = services.store

    @router.get("/updates", response_model=Records)
    def updates(limit: Limit = 100) -> Response:
        """The latest cycles of periodic hooks."""
        return Json([_cycle(*found) for found in store.updates.cycles(limit)])

    @router.get("/collections", response_model=Records)
    def collections(limit: Limit = 100) -> Response:
        """The latest collections of each worker."""
        return Json([_collection(found) for found in store.lifetimes.collections(limit)])

    @router.get("/retention", response_model=Records)
    def retention(limit: Limit = 100) -> Response:
        """The latest cleanings of history by each worker."""
        return Json([_pass(found) for found in store.retention.passes(limit)])

    return router


def _cycle(etype: str, cycle: UpdateCycle) -> dict[str, Any]:
    return {
        "etype": etype,
        "period_s": cycle.group.period / 1e6,
        "eid_only": not HOOK_SPECS[cycle.group.kind].takes_record,
        "worker": cycle.worker,
        "begun": to_datetime(cycle.begun),
        "updated": to_datetime(cycle.updated),
        "batch": cycle.batch,
        "batches": cycle.batches,
        "visited": cycle.visited,
        "missed": cycle.missed,
        "finished": cycle.finished,
    }


def _collection(found: Collection) -> dict[str, Any]:
    return {
        "worker": found.worker,
        "begun": to_datetime(found.begun),
        "updated": to_datetime(found.updated),
        "phase": found.phase,
        "looked_at": found.looked,
        "expired": found.expired,
        "unreferenced": found.unreferenced,
        "tokens_removed": found.tokens,
    }


def _pass(found: RetentionPass) -> dict[str, Any]:
    return {
        "worker": found.worker,
        "begun": to_datetime(found.begun),
        "updated": to_datetime(found.updated),
        "done": bool(found.done),
        "rows_looked_at": found.rows,
        "datapoints_removed": found.points,
    }
