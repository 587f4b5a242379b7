"""Waiting, without blocking the event loop, for something that a worker does."""

import asyncio
from collections.abc import Callable, Collection
from typing import TypeVar

from starlette.concurrency import run_in_threadpool

from dp3.log.port import Lane
from dp3.store.ports.state import State

FIRST_PAUSE_S = 0.002
LONGEST_PAUSE_S = 0.05

T = TypeVar("T")


async def poll(check: Callable[[], T | None], limit_s: float) -> T | None:
    """Ask `check` (in a thread) until it does not return None, at most for `limit_s`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit_s
    pause = FIRST_PAUSE_S
    while (found := await run_in_threadpool(check)) is None and loop.time() < deadline:
        await asyncio.sleep(min(pause, max(deadline - loop.time(), 0)))
        pause = min(pause * 1.5, LONGEST_PAUSE_S)
    return found


class Applied:
    """Asks whether an entry of the MAIN lane has been applied in all of its partitions."""

    def __init__(self, store: State, offset: int, partitions: Collection[int]) -> None:
        self._store = store
        self._offset = offset
        self._partitions = partitions
        self._version: int | None = None

    def __call__(self) -> bool | None:
        """True when it has been, None when not yet."""
        version = self._store.changes.version()
        if version == self._version:
            return None
        self._version = version
        reached = {p: offset for p, lane, offset in self._store.batches.positions() if lane == Lane.MAIN}
        return all(reached.get(p, 0) >= self._offset for p in self._partitions) or None
