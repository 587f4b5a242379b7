"""Calls hooks for many entities: in the worker's own thread, or in as many others as it takes."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence, Sized
from concurrent.futures import Executor, Future
from typing import Protocol, Self, TypeVar

from dp3.engine.jobs.job import Waiting

LARGE_UNIT = 250
"""A unit with more entities would take the worker's thread for too long."""

PIECE_S = 0.01

SLOW_PIECE_S = 0.03
SAMPLE_S = 0.1
LEAST_BUSY = 0.3
"""Hooks wait for something if threads computed for a smaller share of the time. That is looked at when a
piece took very long, and for every sample of so much time."""


class Sum(Protocol):
    """Results of processing, which begin empty."""

    def add(self, other: Self) -> None:
        """Add those of other units."""
        ...


U = TypeVar("U")
G = TypeVar("G", bound=Sequence[Sized])
R = TypeVar("R", bound=Sum)


class HookThreads:
    """Processes units of entities, in pieces.

    Nothing is known of hooks at first, so units are processed by threads of a pool: by one, then by another
    one whenever they were waited for in vain, at most `threads`. Hooks that only compute do not get faster
    by threads, but slower; when they turn out to be like that the calling thread does the work itself, as
    long as they are.
    """

    def __init__(self, executor: Executor, threads: int) -> None:
        self._executor = executor
        self._most = threads
        self.forget()

    def forget(self) -> None:
        """Begin again with knowing nothing of the hooks. Called before other hooks, or the same in another
        run: they may wait for something now."""
        self._used = 1
        self._waiting = True
        self._wall_s = self._busy_s = 0.0

    @property
    def may_wait(self) -> bool:
        """True unless hooks are known to do nothing but compute."""
        return self._waiting

    def submit(self, function: Callable[..., U], *args: object) -> Future[U]:
        """Call a function in a thread of the pool."""
        return self._executor.submit(function, *args)

    def process(self, units: Iterable[G], process: Callable[[G], R], result: R) -> Waiting[None]:
        """Call `process` for all units, groups of entities each, and add to `result` what it returned."""
        queue = deque(units)
        while not self._waiting and _is_small(queue):
            wall_s, busy_s = time.perf_counter(), time.thread_time()
            while _is_small(queue) and time.perf_counter() - wall_s < PIECE_S:
                result.add(process(queue.popleft()))
            self._learn(time.perf_counter() - wall_s, time.thread_time() - busy_s)
            yield None
        yield from self.spread(queue, process, result)

    def spread(self, units: Iterable[U], process: Callable[[U], R], result: R) -> Waiting[None]:
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

    def _spread(self, queue: deque[U], process: Callable[[U], R], result: R) -> Waiting[None]:
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
        for made, _ in served:
            result.add(made)
        busy_s = sum(busy_s for _, busy_s in served)
        self._waiting = busy_s < LEAST_BUSY * (time.perf_counter() - started)


def _is_small(queue: deque[G]) -> bool:
    """True if there is a next unit and the worker's thread may process it."""
    return bool(queue) and sum(map(len, queue[0])) <= LARGE_UNIT


def _serve(queue: deque[U], process: Callable[[U], R], empty: Callable[[], R]) -> tuple[R, float]:
    """Take units from the queue until it is empty; returns the results, and for how long this computed."""
    result = empty()
    started_s = time.thread_time()
    while True:
        try:
            unit = queue.popleft()
        except IndexError:
            return result, time.thread_time() - started_s
        result.add(process(unit))
