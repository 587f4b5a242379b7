"""The worker: reads the log in order, has what it read processed and committed, and runs its jobs."""

import contextlib
import logging
import threading
from collections.abc import Callable

from dp3.engine.context import Context
from dp3.engine.ingest.step import Ingest, Stopped
from dp3.engine.jobs.job import JobRunner
from dp3.log.port import LogUnavailable
from dp3.store.ports.errors import StoreUnavailable

GATHER_S, LONGEST_GATHER_S, GATHER_ENTRY_S = 0.003, 0.010, 0.0005
"""A worker lets more come for so long, longer the more entries there were, when all that has come was less
than a batch may be. A batch costs as much as 50 data-points, however few it has. Without the pause single
ones came three at a time; with 10 ms instead of 3 those of eight busy clients cost half as much."""


RETRY_S = 1.0
"""A worker waits so long before it tries again to read the log or the state."""

logger = logging.getLogger(__name__)


def gather_s(entries: int) -> float:
    """Seconds to let more come after a batch of so many entries."""
    return min(max(GATHER_S, entries * GATHER_ENTRY_S), LONGEST_GATHER_S)


class Nap:
    """Waiting that starts short and grows while nothing happens: 1, 2, 4 … 20 ms."""

    def __init__(self, shortest_s: float = 0.001, longest_s: float = 0.02) -> None:
        self._shortest_s = shortest_s
        self._longest_s = longest_s
        self._next_s = shortest_s

    def reset(self) -> None:
        self._next_s = self._shortest_s

    def next_s(self) -> float:
        """Seconds to wait now."""
        current, self._next_s = self._next_s, min(self._next_s * 2, self._longest_s)
        return current


class Worker:
    """The one writer of the profiles of its partitions. All methods run in one thread.

    `flush` is called before hooks run: it waits for what jobs have begun to write in other threads, because a
    hook shall not wait for a transaction.
    """

    def __init__(
        self,
        context: Context,
        ingest: Ingest,
        jobs: JobRunner,
        flush: Callable[[], None],
        stop: threading.Event,
    ) -> None:
        self._log = context.log
        self._changes = context.store.changes
        self._damage = context.damage
        self._ingest = ingest
        self._jobs = jobs
        self._flush = flush
        self._stop = stop
        self._read_up_to: tuple[int, ...] = ()
        self.gather_s = 0.0
        """Seconds to let more come before the next step."""
        self._nap = Nap()

    def run(self) -> None:
        """Work until told to stop. Raises `LeaseLost` when another process took over, `DamagedFile`,
        `StoreUncertain`."""
        try:
            with contextlib.suppress(Stopped):
                while not self._stop.is_set():
                    self._stop.wait(self._step_and_pause_s())
        finally:
            self._jobs.close()

    def _step_and_pause_s(self) -> float:
        """Make a step; returns how long to wait before the next one."""
        try:
            worked = self.step()
        except (StoreUnavailable, LogUnavailable) as error:
            logger.error("the state or the log can not be read, waiting: %s", error)
            return RETRY_S
        if not worked:
            return self._nap.next_s()
        self._nap.reset()
        return self.gather_s

    def step(self) -> bool:
        """Process one micro-batch if there is any, then give each job a turn. False: nothing to do."""
        self._damage.check()
        entries = self._take_in()
        ingested = entries > 0
        self.gather_s = 0.0
        if ingested and self._ingest.isolates:
            return True
        worked = self._jobs.turn(self._changes.version(), may_block=not ingested)
        if ingested and not worked and self._ingest.has_caught_up:
            self.gather_s = gather_s(entries)
        return worked or ingested

    def _take_in(self) -> int:
        """Process what comes next in the log; returns the number of entries. It is not looked at as long as
        nothing was appended since all of it was read."""
        version = self._log.version()
        if version == self._read_up_to:
            return 0
        reading = self._ingest.read()
        if reading is None:
            self._read_up_to = version
            return 0
        self._flush()
        self._ingest.process(reading)
        return len(reading.entries)
