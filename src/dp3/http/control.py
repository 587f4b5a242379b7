"""Routes that tell the workers to do something."""

from enum import StrEnum

from fastapi import APIRouter
from starlette.responses import Response

from dp3.http.answers import Json
from dp3.http.schemas import INVALID, ActionSent
from dp3.http.services import Services

FIRST_WORKER = 0


class Action(StrEnum):
    """What can be asked for."""

    MAKE_SNAPSHOTS = "make_snapshots"


def control_routes(services: Services) -> APIRouter:
    """`/control/{action}`; asking by GET is what existing clients do."""
    router = APIRouter(prefix="/control", responses=INVALID)

    def send(action: Action) -> Response:
        """Ask for a snapshot run (`make_snapshots`). One that is under way is not disturbed."""
        message = services.store.send_control(FIRST_WORKER, action.value, {})
        return Json({"detail": "Action sent.", "id": message})

    router.get("/{action}", response_model=ActionSent)(send)
    router.post("/{action}", response_model=ActionSent)(send)
    return router
