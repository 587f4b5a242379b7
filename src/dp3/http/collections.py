"""What collections of entities at the end of their lifetime have done."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from dp3.clock import to_datetime
from dp3.http.answers import Json
from dp3.http.schemas import INVALID
from dp3.http.services import Services
from dp3.store.lifetimes import Collection

MAX_COLLECTIONS = 10_000
"""Records of one answer."""


def collection_routes(services: Services) -> APIRouter:
    """`/telemetry/collections`."""
    router = APIRouter(prefix="/telemetry", responses=INVALID)
    store = services.store

    @router.get("/collections", response_model=list[dict[str, Any]])
    def collections(limit: Annotated[int, Query(ge=1, le=MAX_COLLECTIONS)] = 100) -> Response:
        """The latest collections of each worker."""
        return Json([_record(found) for found in store.collections(limit)])

    return router


def _record(found: Collection) -> dict[str, Any]:
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
