"""Waiting for a change of the state, for any number of requests with one thread."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from dp3.http.pools import Pool
from dp3.store.ports.batches import Changes

FIRST_PAUSE_S = 0.002
LONGEST_PAUSE_S = 0.05
"""Between two looks at the state: short at first, and again when somebody comes."""

T = TypeVar("T")

Check = Callable[[], T | None]


@dataclass(eq=False, slots=True)
class _Waiter:
    """Somebody who waits for a result other than None of `check`, until `deadline` (of the event loop)."""

    check: Check[Any]
    deadline: float
    found: asyncio.Future[Any]
    version: int | None = None


class StateChanges:
    """Those who wait for a change of the state. While there are any, a task looks at it for all of them.

    Used in one event loop."""

    def __init__(self, changes: Changes, state: Pool) -> None:
        self._changes = changes
        self._state = state
        self._waiting: set[_Waiter] = set()
        self._looking: asyncio.Task[None] | None = None
        self._somebody_came = asyncio.Event()

    async def until(self, check: Check[T], limit_s: float) -> T | None:
        """The first result of `check` that is not None, which is called in a thread, now and after each
        change of the state. None if there is no such result after `limit_s`; raises what `check` raises."""
        loop = asyncio.get_running_loop()
        waiter = _Waiter(check, loop.time() + limit_s, loop.create_future())
        self._waiting.add(waiter)
        self._somebody_came.set()
        if self._looking is None or self._looking.done():
            self._looking = loop.create_task(self._look())
        try:
            return await waiter.found  # type: ignore[no-any-return]
        finally:
            self._waiting.discard(waiter)

    async def _look(self) -> None:
        """Look again and again, until nobody waits any more."""
        now = asyncio.get_running_loop().time
        pause_s = FIRST_PAUSE_S
        while self._waiting:
            asked = list(self._waiting)
            begun = now()
            try:
                results = await self._state.run(self._ask, asked)
            except Exception as error:
                results = [error] * len(asked)
            for waiter, result in zip(asked, results, strict=True):
                self._tell(waiter, result, is_last=begun >= waiter.deadline)
            if self._waiting:
                left_s = min(waiter.deadline for waiter in self._waiting) - now()
                came = await self._pause(min(pause_s, left_s))
                pause_s = FIRST_PAUSE_S if came else min(pause_s * 1.5, LONGEST_PAUSE_S)

    async def _pause(self, seconds: float) -> bool:
        """Return after a while, or at once with True when somebody has come since the pause before."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._somebody_came.wait()
        came = self._somebody_came.is_set()
        self._somebody_came.clear()
        return came

    def _ask(self, asked: Sequence[_Waiter]) -> list[Any]:
        """For each one the result of its check, or the exception; None if nothing has changed since."""
        version = self._changes.version()
        return [self._result(waiter, version) for waiter in asked]

    def _result(self, waiter: _Waiter, version: int) -> Any:
        if waiter.version == version:
            return None
        waiter.version = version
        try:
            return waiter.check()
        except Exception as error:
            return error

    def _tell(self, waiter: _Waiter, result: Any, *, is_last: bool) -> None:
        if result is None and not is_last:
            return
        self._waiting.discard(waiter)
        if waiter.found.done():
            return
        if isinstance(result, Exception):
            waiter.found.set_exception(result)
        else:
            waiter.found.set_result(result)
