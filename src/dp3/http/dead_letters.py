"""Routes about dead letters: what failed, and asking the workers to retry or drop it."""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from dp3.http.answers import Json, busy, refused
from dp3.http.changes import StateChanges
from dp3.http.schemas import (
    INVALID,
    DeadLetterResults,
    DeadLetters,
    DeadLetterState,
    DeadLetterSummary,
    Detail,
)
from dp3.http.services import Services
from dp3.http.unknown_names import route_class
from dp3.reads.dead_letters import DeadLetters as DeadLetterReads
from dp3.reads.dead_letters import describe
from dp3.store.ports.dead_letters import DeadLetter
from dp3.store.ports.errors import ControlFull, StoreUnavailable

MAX_LIMIT = 1_000

Results = dict[str, dict[str, Any]]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT)]
After = Annotated[int, Query(ge=0, lt=1 << 63)]


async def filters(
    kind: str | None = None,
    module: str | None = None,
    hook: str | None = None,
    etype: str | None = None,
    eid: str | None = None,
    reason: Annotated[str | None, Query(description="A part of the reason")] = None,
) -> dict[str, str]:
    """The query parameters that filter dead letters."""
    wanted = {"kind": kind, "module": module, "hook": hook, "etype": etype, "eid": eid, "reason": reason}
    return {name: value for name, value in wanted.items() if value is not None}


Filters = Annotated[dict[str, str], Depends(filters)]

NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": Detail, "description": "No such dead letter"}}
PENDING: dict[int | str, dict[str, Any]] = {
    202: {"model": DeadLetterResults, "description": "Asked for, but not (all) done in time"},
    503: {
        "model": Detail,
        "description": "Not (all) could be asked for: try again later",
    },
}

Sent = dict[int, list[int]]
"""Message to a worker → the dead letters that it is about."""


def dead_letter_routes(services: Services, changes: StateChanges) -> APIRouter:
    """`/deadletters`."""
    router = APIRouter(
        prefix="/deadletters",
        tags=["dead letters"],
        responses=INVALID,
        route_class=route_class(services.model, strict=True),
    )
    orders = Orders(services, changes)
    _add_reading(router, services)
    _add_bulk_orders(router, services, orders)
    _add_single_orders(router, services, orders)
    return router


def _add_reading(router: APIRouter, services: Services) -> None:
    dead_letters, operating = services.reads.dead_letters, services.pools.operating.serves
    rendering = services.rendering

    @router.get("", response_model=DeadLetters)
    @operating
    def get_dead_letters(
        filters: Filters, after: After = 0, limit: Limit = 20, order: Literal["oldest", "newest"] = "oldest"
    ) -> Response:
        """Dead letters in order of their ids, or the newest first, those that come after the id `after`."""
        data = dead_letters.page(after, limit, filters, newest_first=order == "newest")
        answer = {"count": len(data), "total": dead_letters.count(), "data": data}
        return rendering.json(answer, {"data": rendering.dead_letter()})

    @router.get("/summary", response_model=DeadLetterSummary)
    @operating
    def get_dead_letter_summary(filters: Filters, limit: Limit = 100) -> Response:
        """Dead letters by hook and reason, with how many there are; the groups with the newest ones."""
        return rendering.json(dead_letters.summary(limit, filters))

    @router.get("/{id}", response_model=DeadLetterState, responses=NOT_FOUND)
    @operating
    def get_dead_letter(id: int) -> Response:
        """One dead letter."""
        return rendering.json(describe(*_find(dead_letters, id)), rendering.dead_letter())


def _add_bulk_orders(router: APIRouter, services: Services, orders: "Orders") -> None:
    page, run = services.store.dead_letters.page, services.pools.operating.run

    @router.post("/retry", response_model=DeadLetterResults, responses=PENDING)
    async def retry_dead_letters(filters: Filters, after: After = 0, limit: Limit = 100) -> Response:
        """Retry the oldest `limit` dead letters that match, of those that come after the id `after`."""
        return await orders.give("retry", await run(page, after, limit, filters))

    @router.post("/drop", response_model=DeadLetterResults, responses=PENDING)
    async def drop_dead_letters(filters: Filters, after: After = 0, limit: Limit = 100) -> Response:
        """Drop the oldest `limit` dead letters that match, of those that come after the id `after`."""
        return await orders.give("drop", await run(page, after, limit, filters))


def _add_single_orders(router: APIRouter, services: Services, orders: "Orders") -> None:
    dead_letters, run = services.reads.dead_letters, services.pools.operating.run

    @router.post("/{id}/retry", response_model=DeadLetterResults, responses=NOT_FOUND | PENDING)
    async def retry_dead_letter(id: int) -> Response:
        """Try again what failed: call the hook, or process the task. The letter goes if that works."""
        return await orders.give("retry", [await run(_find, dead_letters, id)])

    @router.delete("/{id}", response_model=DeadLetterResults, responses=NOT_FOUND | PENDING)
    async def delete_dead_letter(id: int) -> Response:
        """Drop a dead letter for good."""
        return await orders.give("drop", [await run(_find, dead_letters, id)])


def _find(dead_letters: DeadLetterReads, id_: int) -> tuple[int, DeadLetter]:
    found = dead_letters.find(id_)
    if found is None:
        raise refused(404, f"Dead letter {id_} doesn't exist")
    return id_, found


class Orders:
    """Has the workers retry or drop dead letters."""

    def __init__(self, services: Services, changes: StateChanges) -> None:
        self._services = services
        self._changes = changes
        self._run = services.pools.operating.run

    async def give(self, op: str, dead_letters: Sequence[tuple[int, DeadLetter]]) -> Response:
        """Have the workers do it, and answer with the outcome for each dead letter."""
        try:
            messages = await self._run(_send, self._services, op, dead_letters)
        except (ControlFull, StoreUnavailable) as error:
            raise busy(str(error)) from None
        all_done = partial(_all_done, self._services, messages)
        await self._changes.until(all_done, self._services.wait_limit_s)
        results = await self._run(_results, self._services, messages)
        if len(results) == len(dead_letters):
            return Json({"detail": "OK", "results": results})
        return Json({"detail": "Not all done yet", "results": results}, 202)


def _send(services: Services, op: str, dead_letters: Sequence[tuple[int, DeadLetter]]) -> Sent:
    """One message to each worker concerned."""
    by_worker: dict[int, list[int]] = defaultdict(list)
    for id_, letter in dead_letters:
        by_worker[letter.partition % services.worker_processes].append(id_)
    return {
        services.store.control.send(worker, "deadletters", {"op": op, "ids": ids}): ids
        for worker, ids in by_worker.items()
    }


def _all_done(services: Services, messages: Sent) -> bool | None:
    return len(services.store.control.results(messages)) == len(messages) or None


def _results(services: Services, messages: Sent) -> Results:
    """The outcome for each dead letter; the error of a message that was given up holds for all in it."""
    merged: Results = {}
    for message, result in services.store.control.results(messages).items():
        if "results" in result:
            merged |= result["results"]
        else:
            merged |= {str(id_): {"done": False, "reason": result["error"]} for id_ in messages[message]}
    return merged
