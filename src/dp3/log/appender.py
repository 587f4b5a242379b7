"""Group commit: concurrent requests share one append to the log, and so one wait for the disk."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from threading import Condition, Thread
from typing import NamedTuple

from dp3.files import DamagedFile
from dp3.log.port import Append, Appended, Log, LogUnavailable

MAX_WAITING = 10_000
MAX_GROUP = 1_000
MAX_GROUP_BYTES = 16 << 20
"""One commit holds the log's writer lock; 16 MiB is written in well under a second."""

GATHER_S = 0.002
"""Who waits for answers sends the next data-points when he has them: for so long after the answers a group
waits until as many are there again. A commit costs as much as a hundred small appends, and without the wait
eight clients came three at a time."""

Outcome = Appended | Exception


class AppenderBusy(Exception):
    """Too many appends are waiting for the disk; the caller may try again later."""


class AppenderClosed(RuntimeError):
    """The appender was closed; nothing was added."""


class _Waiting(NamedTuple):
    append: Append
    size: int
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Appended]"


class Appender:
    """Hands appends of any number of event loops to `log.append`, many at a time.

    One thread writes; while it waits for the disk the next group gathers. After a group of several it waits
    `gather_s` at most for as many; a lone append, or one after a pause, does not wait for company. At most
    `max_waiting` appends wait; further ones get `AppenderBusy`.
    """

    def __init__(self, log: Log, *, max_waiting: int = MAX_WAITING, gather_s: float = GATHER_S) -> None:
        self._log = log
        self._gather_s = gather_s
        self._max_waiting = max_waiting
        self._waiting: deque[_Waiting] = deque()
        self._changed = Condition()
        self._closed = False
        self._failure: tuple[float, str] | None = None
        self._wanted = 1
        """The thread is woken when so many appends wait. Until `_gather_until` these are those that waited
        during the latest commit and one of each sender that it answered, later one."""
        self._gather_until = float("-inf")
        self._thread = Thread(target=self._work, name="appender", daemon=True)
        self._thread.start()

    async def append(self, append: Append) -> Appended:
        """Return after the append survives power loss.

        Raises `IdempotencyConflict`, `LogUnavailable`, `DamagedFile`, `AppenderBusy` or `AppenderClosed`;
        then it was not added. After `LogUncertain` it may have been. A cancelled caller does not take its
        append back."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Appended] = loop.create_future()
        size = sum(len(tasks) for slices in append.entries for tasks in slices.values())
        self._enqueue(_Waiting(append, size, loop, future))
        return await future

    def failure(self, within_s: float) -> str | None:
        """The reason why the latest group could not be written, if that was less than `within_s` ago."""
        failure = self._failure
        if failure is None or time.monotonic() - failure[0] > within_s:
            return None
        return failure[1]

    def close(self) -> None:
        """Write what waits, refuse anything new, stop the thread. May be called again."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _enqueue(self, one: _Waiting) -> None:
        with self._changed:
            if self._closed:
                raise AppenderClosed("the appender is closed; nothing was added")
            if len(self._waiting) >= self._max_waiting:
                raise AppenderBusy(f"{len(self._waiting)} appends are waiting for the disk; try again later")
            self._waiting.append(one)
            if len(self._waiting) == self._wanted:
                self._changed.notify()

    def _work(self) -> None:
        while group := self._next_group():
            outcomes = self._write([one.append for one in group])
            self._wanted = min(len(group) + len(self._waiting), MAX_GROUP)
            self._gather_until = time.monotonic() + self._gather_s
            _deliver(group, outcomes)

    def _next_group(self) -> list[_Waiting]:
        """Appends that wait, up to the limits of one commit; empty when closed and drained."""
        with self._changed:
            self._changed.wait_for(self._is_enough, max(self._gather_until - time.monotonic(), 0))
            if not self._waiting:
                self._wanted = 1
                self._changed.wait_for(self._is_enough)
            group: list[_Waiting] = []
            size = 0
            while self._waiting and len(group) < MAX_GROUP and (not group or size < MAX_GROUP_BYTES):
                one = self._waiting.popleft()
                size += one.size
                group.append(one)
            return group

    def _is_enough(self) -> bool:
        return len(self._waiting) >= self._wanted or self._closed

    def _write(self, appends: Sequence[Append]) -> Sequence[Outcome]:
        try:
            outcomes = self._log.append(appends)
        except Exception as error:
            self._note(error)
            return [error] * len(appends)
        self._failure = None
        return outcomes

    def _note(self, error: Exception) -> None:
        if self._failure is None:
            logging.getLogger("dp3.appender").error(
                "the log refuses appends: %s",
                error,
                exc_info=not isinstance(error, LogUnavailable | DamagedFile),
            )
        self._failure = (time.monotonic(), f"{type(error).__name__}: {error}")


def _deliver(group: Sequence[_Waiting], outcomes: Sequence[Outcome]) -> None:
    """Wake every waiter; an event loop is woken once for all of its waiters."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Appended], Outcome]]] = {}
    for one, outcome in zip(group, outcomes, strict=True):
        by_loop.setdefault(one.loop, []).append((one.future, outcome))
    for loop, results in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_set_results, results)


def _set_results(results: Sequence[tuple["asyncio.Future[Appended]", Outcome]]) -> None:
    for future, outcome in results:
        if future.done():
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
