"""Looks at all entities, a few at a time: which attributes they have, and how large those are."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeVar

from dp3.clock import Clock
from dp3.engine.jobs.schedule import Ticks
from dp3.store.ports.entities import Entities
from dp3.store.ports.errors import LeaseLost, StoreFull
from dp3.store.ports.leases import Lease
from dp3.store.ports.sizes import AttributeSize, SizeReport
from dp3.store.ports.state import State

JOB = "sizes"
JOB_TTL_S = 60.0
"""Another worker may measure if nothing was heard for so long."""

LOOK_S = 1.0

SMALLEST, LARGEST = 1, 5_000
SLICE_S = 0.05
"""A piece should take about so long: a reader that stays keeps the write-ahead log from shrinking."""

T = TypeVar("T")

logger = logging.getLogger(__name__)


def over_entities(entities: Entities, look: Callable[[int, int], T]) -> Iterator[T]:
    """What `look(first, last)` says of ranges of entity keys that cover all entities."""
    after, size = 0, 100
    while page := entities.range_after(after, size):
        started = time.perf_counter()
        found = look(*page)
        took_s = time.perf_counter() - started
        after = page[1]
        size = min(max(int(size * min(SLICE_S / max(took_s, 1e-6), 2)), SMALLEST), LARGEST)
        yield found


class SizeMeasurer:
    """A thread of a worker that measures attributes by schedule, and at the start if that was never done. Of
    all workers one does. `cron`: arguments of a cron trigger."""

    def __init__(
        self, state: State, clock: Clock, lease: Lease, cron: Mapping[str, Any], etypes: Collection[str]
    ) -> None:
        self._state = state
        self._clock = clock
        self._lease = lease
        self._etypes = etypes
        self._ticks = Ticks(cron, clock.now_us())
        self._kept_until = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sizes", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Give up what is under way: it is made again at the next moment."""
        self._stop.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        due: int | None = 0
        while not self._stop.is_set():
            try:
                if due is not None:
                    self.measure(due)
            except LeaseLost:
                logger.info("measuring stopped: another process has taken over")
                return
            except StoreFull as error:
                logger.error("sizes of attributes can not be written: %s", error)
            except Exception:
                logger.exception("measuring the sizes of attributes failed")
            self._stop.wait(LOOK_S)
            due = self._ticks.due(self._clock.now_us())

    def measure(self, due: int) -> bool:
        """Measure, unless that was done since the moment `due` (µs) or another worker does it; returns
        whether it was done. Raises `LeaseLost`, `StoreFull`."""
        started = self._clock.now_us()
        if any(report.calculated >= due for report in self._state.sizes.reports().values()):
            return False
        self._kept_until = 0.0
        if not self._keep_job():
            return False
        sizes: dict[str, dict[str, AttributeSize]] = {etype: {} for etype in self._etypes}
        for found in over_entities(self._state.entities, self._sizes):
            for (etype, attr), size in found.items():
                of_type = sizes.setdefault(etype, {})
                of_type[attr] = size if (known := of_type.get(attr)) is None else known.plus(size)
            if self._stop.is_set() or not self._keep_job():
                return False
        duration = self._clock.now_us() - started
        reports = {etype: SizeReport(started, duration, of_type) for etype, of_type in sizes.items()}
        self._state.sizes.put(self._lease, reports)
        return True

    def _sizes(self, first: int, last: int) -> dict[tuple[str, str], AttributeSize]:
        """Takes turns with the worker: rests for as long as it has worked."""
        started = time.perf_counter()
        sizes = self._state.sizes.between(first, last)
        self._stop.wait(time.perf_counter() - started)
        return sizes

    def _keep_job(self) -> bool:
        """Take the job or, now and then, say that it is still being done; False if another worker has it."""
        now = time.monotonic()
        if now < self._kept_until:
            return True
        self._kept_until = now + JOB_TTL_S / 3
        return self._state.leases.take_job(self._lease, JOB, JOB_TTL_S)
