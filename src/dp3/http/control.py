"""Routes that tell the workers to do something."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from dp3.http.answers import Answer, Json, Refusal, invalid, invalid_value, refused
from dp3.http.schemas import BUSY, INVALID, ActionResults, ActionSent, Detail
from dp3.http.services import Services
from dp3.http.unknown_names import route_class
from dp3.model.errors import did_you_mean
from dp3.store.ports.runs import Phase

FIRST_WORKER = 0

PROGRESS = "progress"
"""The key under which is told how far something is that is not through."""

MAX_MESSAGES = 1_000
"""Ids of messages that can be asked for at once: one for each worker."""

FORBIDDEN: dict[int | str, dict[str, Any]] = {403: {"model": Detail, "description": "Not allowed"}}
UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"model": Detail, "description": "No such request"}}

Sent = Annotated[str, Path(pattern=r"^\d{1,18}(-\d{1,18})*$", description="The `id` of an answer.")]
Etype = Annotated[str | None, Query(description="Whose creation hooks are called.")]
Module = Annotated[str | None, Query(description="Whose configuration is read again.")]


class Action(StrEnum):
    """An action that can be asked for."""

    MAKE_SNAPSHOTS = "make_snapshots"
    REFRESH_ON_ENTITY_CREATION = "refresh_on_entity_creation"
    REFRESH_MODULE_CONFIG = "refresh_module_config"


def control_routes(services: Services) -> APIRouter:
    """`/control/{action}`; asking by GET is what existing clients do."""
    router = APIRouter(
        prefix="/control",
        tags=["control"],
        responses=INVALID | BUSY,
        route_class=route_class(services.model),
    )
    operating = services.pools.operating.serves

    @operating
    def send_control_action(action: Action, module: Module = None, etype: Etype = None) -> Response:
        """Ask for a snapshot run (`make_snapshots`; one that is under way is not disturbed), or have all
        workers read the configuration of a module again (`refresh_module_config`) or call creation hooks for
        all entities of a type (`refresh_on_entity_creation`)."""
        if action not in services.allowed_actions:
            raise refused(
                403, f"Action '{action}' is not allowed; see allowed_actions in control.yml of the platform"
            )
        if action is Action.MAKE_SNAPSHOTS:
            return _sent(services, action, [FIRST_WORKER], {})
        workers = range(services.worker_processes)
        if action is Action.REFRESH_ON_ENTITY_CREATION:
            _check_etype(services, etype)
            return _sent(services, action, workers, {"etype": etype})
        _check_module(services, module)
        return _sent(services, action, workers, {"module": module})

    @operating
    def get_control_results(id: Sent) -> Response:
        """The outcome of a request, for each worker; null while the worker has not got to it, `progress`
        while it is not through."""
        return _results(services, list(map(int, id.split("-")))[:MAX_MESSAGES], id)

    router.get("/results/{id}", response_model=ActionResults, responses=UNKNOWN)(get_control_results)
    routes = (router.get, "get_control_action"), (router.post, "send_control_action")
    for method, name in routes:
        method("/{action}", name=name, response_model=ActionSent, responses=FORBIDDEN)(send_control_action)
    return router


def _results(services: Services, messages: list[int], request: str) -> Response:
    control = services.store.control
    # Read before the results: a message that is done in between is in both, not in neither.
    pending = {
        message.id for worker in range(services.worker_processes) for message in control.pending(worker)
    }
    done = control.results(messages)
    if not all(message in done or message in pending for message in messages):
        raise refused(404, f"Request {request} doesn't exist; results are kept for 24 h")
    found = {one.message: {PROGRESS: one.report} for one in control.progress(messages)}
    found |= {message: _with_status(services, result) for message, result in done.items()}
    answer = [found.get(message) for message in messages]
    through = all(one is not None and PROGRESS not in one for one in answer)
    return Json({"done": through, "results": answer})


def _with_status(services: Services, result: dict[str, Any]) -> dict[str, Any]:
    """The result of a message; one that has begun a snapshot run has the result of that."""
    if "run" not in result:
        return result
    found = services.store.runs.last(1, before=result["run"] + 1)
    if not found or found[0].id != result["run"]:  # old snapshots are removed
        return result
    if found[0].phase is not Phase.CLOSED:
        return {PROGRESS: result | {"phase": found[0].phase.value}}
    return result | {"status": found[0].status}


def _check_module(services: Services, module: str | None) -> None:
    if module is None:
        raise _missing("module")
    if module not in services.modules:
        expected = _one_of(services.modules) or "the name of an enabled module, but there is none"
        error = {"type": "enum", "loc": ["query", "module"], "msg": f"Input should be {expected}"}
        raise invalid([{**error, "input": module, "ctx": {"expected": expected}}])


def _one_of(names: Sequence[str]) -> str:
    """As pydantic lists what is possible."""
    *others, last = map(repr, names) if names else [""]
    return f"{', '.join(others)} or {last}" if others else last


def _missing(parameter: str) -> Refusal:
    return invalid([{"type": "missing", "loc": ["query", parameter], "msg": "Field required", "input": None}])


def _check_etype(services: Services, etype: str | None) -> None:
    if etype is None:
        raise _missing("etype")
    if etype not in services.model.entities:
        near = did_you_mean(etype, services.model.entities)
        raise invalid_value(("query", "etype"), f"Entity type '{etype}' doesn't exist{near}")


def _sent(services: Services, action: Action, workers: Any, args: dict[str, Any]) -> Response:
    ids = [services.store.control.send(worker, action.value, args) for worker in workers]
    return Answer({"detail": "Action sent.", "id": "-".join(map(str, ids))})
