"""Looks at all entities, a few at a time: which attributes they have, and how large those are."""

import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Executor
from typing import TypeVar

from dp3.config.sections import TelemetrySettings
from dp3.engine.context import Context
from dp3.engine.jobs.job import Schedule, Waiting, Work, result_of
from dp3.store.ports.entities import Entities
from dp3.store.ports.sizes import AttributeSize, SizeReport

JOB = "sizes"
JOB_TTL_S = 60.0
"""Another worker may measure if nothing was heard for so long."""

SMALLEST, LARGEST = 1, 5_000
SLICE_S = 0.05
"""A piece should take about so long: a reader that stays keeps the write-ahead log from shrinking."""

MOST_FAILURES = 3
"""After so many in a row the measurement waits for its next moment: it begins anew each time."""

T = TypeVar("T")


def over_entities(entities: Entities, look: Callable[[int, int], T]) -> Iterator[T]:
    """The results of `look(first, last)` for ranges of entity keys that cover all entities."""
    after, size = 0, 100
    while page := entities.range_after(after, size):
        started = time.perf_counter()
        found = look(*page)
        took_s = time.perf_counter() - started
        after = page[1]
        size = min(max(int(size * min(SLICE_S / max(took_s, 1e-6), 2)), SMALLEST), LARGEST)
        yield found


class SizeMeasurement:
    """Measures the attributes of `etypes` by schedule, piece by piece in a thread of `io`, and at the start
    if that was never done. Of all workers one does."""

    name = "measurement of sizes"
    watches = False
    every = 1

    def __init__(
        self, context: Context, settings: TelemetrySettings, etypes: Collection[str], io: Executor
    ) -> None:
        self._state = context.store
        self._clock = context.clock
        self._lease = context.lease
        self._etypes = etypes
        self._io = io
        self._schedule = Schedule(settings.attribute_bson_size_schedule, context.clock.now_us())
        self._due: int | None = 0
        self._kept_until = 0.0
        self.wake_at = 0

    def begin(self, now: int, failures: int) -> Work | None:
        """See `Job.begin`."""
        if (due := self._schedule.due(now)) is not None:
            self._due, failures = due, 0
        self.wake_at = self._schedule.next
        if failures > MOST_FAILURES:
            self._due = None
        return None if self._due is None else self._steps(self._due)

    def _steps(self, due: int) -> Work:
        yield from self.measure(due)
        self._due = None

    def measure(self, due: int) -> Waiting[bool]:
        """Measure, unless that was done since the moment `due` (µs) or another worker does it; returns
        whether it was done. Raises `LeaseLost`, `StoreFull`."""
        started = self._clock.now_us()
        # One of the future was made when the clock was wrong.
        if any(due <= report.calculated <= started for report in self._state.sizes.reports().values()):
            return False
        self._kept_until = 0.0
        sizes: dict[str, dict[str, AttributeSize]] = {etype: {} for etype in self._etypes}
        ranges = over_entities(self._state.entities, self._state.sizes.between)
        while self._keep_job():
            found = yield from result_of(self._io.submit(next, ranges, None))
            if found is None:
                self._put(sizes, started)
                return True
            for (etype, attr), size in found.items():
                of_type = sizes.setdefault(etype, {})
                of_type[attr] = size if (known := of_type.get(attr)) is None else known.plus(size)
        return False

    def _put(self, sizes: dict[str, dict[str, AttributeSize]], started: int) -> None:
        duration = self._clock.now_us() - started
        reports = {etype: SizeReport(started, duration, of_type) for etype, of_type in sizes.items()}
        self._state.sizes.put(self._lease, reports)

    def _keep_job(self) -> bool:
        """Take the job or, now and then, say that it is still being done; False if another worker has it."""
        now = time.monotonic()
        if now < self._kept_until:
            return True
        self._kept_until = now + JOB_TTL_S / 3
        return self._state.leases.take_job(self._lease, JOB, JOB_TTL_S)
