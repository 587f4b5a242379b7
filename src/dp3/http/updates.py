"""What periodic hooks have done."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from dp3.clock import to_datetime
from dp3.engine.updater.groups import WITH_RECORD
from dp3.http.answers import Json
from dp3.http.schemas import INVALID
from dp3.http.services import Services
from dp3.store.updates import NamedCycle

MAX_CYCLES = 10_000
"""Records of one answer."""


def update_routes(services: Services) -> APIRouter:
    """`/telemetry/updates`."""
    router = APIRouter(prefix="/telemetry", responses=INVALID)
    store = services.store

    @router.get("/updates", response_model=list[dict[str, Any]])
    def updates(limit: Annotated[int, Query(ge=1, le=MAX_CYCLES)] = 100) -> Response:
        """The latest cycles of periodic hooks."""
        return Json([_record(found) for found in store.update_cycles(limit)])

    return router


def _record(found: NamedCycle) -> dict[str, Any]:
    cycle = found.cycle
    return {
        "etype": found.etype,
        "period_s": cycle.group.period / 1e6,
        "eid_only": cycle.group.kind != WITH_RECORD,
        "worker": cycle.worker,
        "begun": to_datetime(cycle.begun),
        "updated": to_datetime(cycle.updated),
        "batch": cycle.batch,
        "batches": cycle.batches,
        "visited": cycle.visited,
        "missed": cycle.missed,
        "finished": cycle.finished,
    }
