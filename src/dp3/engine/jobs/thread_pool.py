"""Who processes units: the worker's own thread, or as many others as it takes."""

import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import Generic, NamedTuple, Protocol, Self, TypeAlias, TypeVar

from dp3.engine.jobs.snapshots.correlate import Unit, UnitResult
from dp3.engine.jobs.waiting import Wait

LARGE_UNIT = 250
"""A unit with more entities would take the worker's thread for too long."""

PIECE_S = 0.01

SLOW_PIECE_S = 0.03
SAMPLE_S = 0.1
LEAST_BUSY = 0.3
"""Hooks wait for something if threads computed for a smaller share of the time. That is looked at when a
piece took very long, and for every sample of so much time."""

Process: TypeAlias = Callable[[Unit], UnitResult]


class Sum(Protocol):
    """What processing returns; it begins empty."""

    def add(self, other: Self) -> None:
        """Add that of other units."""
        ...


U = TypeVar("U")
R = TypeVar("R", bound=Sum)


class _Served(NamedTuple, Generic[R]):
    """What a thread of the pool made, and for how long it computed."""

    result: R
    busy_s: float


class Crew:
    """Processes units, in pieces.

    Nothing is known of hooks at first, so units are processed by threads of a pool: by one, then by another
    one whenever they were waited for in vain, at most `threads`. Hooks that only compute do not get faster
    by threads, but slower; when they turn out to be like that the calling thread does the work itself, as
    long as they are.
    """

    def __init__(self, executor: Executor, threads: int) -> None:
        self._executor = executor
        self._most = threads
        self._used = 1
        self._waiting = True
        self._wall_s = self._busy_s = 0.0

    def process(self, units: Iterable[Unit], process: Process, result: UnitResult) -> Wait:
        """Call `process` for all units and add to `result` what it returned."""
        queue = deque(units)
        while not self._waiting and _is_small(queue):
            wall_s, busy_s = time.perf_counter(), time.thread_time()
            while _is_small(queue) and time.perf_counter() - wall_s < PIECE_S:
                result.add(process(queue.popleft()))
            self._learn(time.perf_counter() - wall_s, time.thread_time() - busy_s)
            yield None
        yield from self.spread(queue, process, result)

    def spread(self, units: Iterable[U], process: Callable[[U], R], result: R) -> Wait:
        """The same, but never in the calling thread: that can do other things however long hooks take. Units
        are whatever is processed."""
        queue = deque(units)
        if queue:
            yield from self._spread(queue, process, result)

    def _learn(self, wall_s: float, busy_s: float) -> None:
        """Take into account how long a piece took, and for how much of it the thread computed."""
        self._wall_s += wall_s
        self._busy_s += busy_s
        if wall_s > SLOW_PIECE_S or self._wall_s > SAMPLE_S:
            self._waiting = self._busy_s < LEAST_BUSY * self._wall_s
            self._wall_s = self._busy_s = 0.0

    def _spread(self, queue: deque[U], process: Callable[[U], R], result: R) -> Wait:
        started = time.perf_counter()
        number = self._used if self._waiting else 1
        workers = [self._executor.submit(_serve, queue, process, type(result)) for _ in range(number)]
        in_vain = False
        while working := next((worker for worker in workers if not worker.done()), None):
            yield working
            if not working.done():
                in_vain = True
                waiting = self._waiting or time.perf_counter() - started > SAMPLE_S
                if waiting and queue and len(workers) < self._most:
                    workers.append(self._executor.submit(_serve, queue, process, type(result)))
        self._used = len(workers) if in_vain else max(1, self._used // 2)
        served = [worker.result() for worker in workers]
        for one in served:
            result.add(one.result)
        busy_s = sum(one.busy_s for one in served)
        self._waiting = busy_s < LEAST_BUSY * (time.perf_counter() - started)


def _is_small(queue: deque[Unit]) -> bool:
    """Whether there is a next unit and the worker's thread may process it."""
    return bool(queue) and sum(map(len, queue[0].groups)) <= LARGE_UNIT


def _serve(queue: deque[U], process: Callable[[U], R], empty: Callable[[], R]) -> _Served[R]:
    """Take units from the queue until it is empty."""
    result = empty()
    started_s = time.thread_time()
    while True:
        try:
            unit = queue.popleft()
        except IndexError:
            return _Served(result, time.thread_time() - started_s)
        result.add(process(unit))
