"""What the cleaning of history has done."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from dp3.clock import to_datetime
from dp3.http.answers import Json
from dp3.http.schemas import INVALID
from dp3.http.services import Services
from dp3.store.retention import RetentionPass

MAX_PASSES = 10_000
"""Records of one answer."""


def retention_routes(services: Services) -> APIRouter:
    """`/telemetry/retention`."""
    router = APIRouter(prefix="/telemetry", responses=INVALID)
    store = services.store

    @router.get("/retention", response_model=list[dict[str, Any]])
    def retention(limit: Annotated[int, Query(ge=1, le=MAX_PASSES)] = 100) -> Response:
        """The latest cleanings of history by each worker."""
        return Json([_record(found) for found in store.retention_passes(limit)])

    return router


def _record(found: RetentionPass) -> dict[str, Any]:
    return {
        "worker": found.worker,
        "begun": to_datetime(found.begun),
        "updated": to_datetime(found.updated),
        "done": bool(found.done),
        "rows_looked_at": found.rows,
        "datapoints_removed": found.points,
    }
