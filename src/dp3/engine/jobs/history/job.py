"""Upkeep of history: packing what came in, removing what is too old."""

import time
from collections.abc import Callable, Iterator, Mapping

from dp3.config.sections import HistoryManagerSettings
from dp3.engine.context import Context
from dp3.engine.jobs.history.attr_plans import counted_attrs, limited_attrs
from dp3.engine.jobs.history.packing import Compactor, observed_attrs
from dp3.engine.jobs.history.retention import Retention
from dp3.engine.jobs.job import Schedule, Work
from dp3.engine.plans import TypePlan
from dp3.model.spec import ModelSpec

PACKING, CLEANING = "packing", "cleaning"
"""The passes, in their order: what is packed may have to go at once."""


class HistoryUpkeep:
    """Passes over the history of a worker's entities, one after the other.

    Cleaning that was interrupted goes on after a restart; if it was missed while nobody worked it is made up
    for. Packing finds what is left by itself.
    """

    name = "upkeep of history"
    watches = False
    every = 1

    def __init__(
        self,
        context: Context,
        model: ModelSpec,
        plans: Mapping[str, TypePlan],
        settings: HistoryManagerSettings,
    ) -> None:
        limited, observed = limited_attrs(model, plans), observed_attrs(model, context.store)
        now, last = context.clock.now_us(), context.store.retention.last_pass(context.lease.index)
        self._statistics = context.statistics
        self._clock_watch = context.clock_watch
        self._passes: dict[str, Callable[[], Iterator[None]]] = {
            PACKING: Compactor(context, observed, counted_attrs(limited)).steps,
            CLEANING: Retention(context, limited).steps,
        }
        self._packing = Schedule(settings.aggregation_schedule, now)
        since = now if last is None else min(last.begun + 1, now)
        self._cleaning = Schedule(settings.datapoint_cleaning_schedule, since)
        self._wanted = set[str]()
        self.wake_at = self._next
        if last is not None and not last.done:
            self.request(CLEANING)

    def request(self, *passes: str) -> None:
        """Begin passes at the next turn: `PACKING`, which is meant if nothing is said, or `CLEANING`."""
        self._wanted.update(passes or (PACKING,))
        self.wake_at = 0

    def begin(self, now: int, failures: int) -> Work | None:
        """See `Job.begin`."""
        if self._packing.due(now) is not None:
            self._wanted.add(PACKING)
        if self._cleaning.passed(now):
            self._wanted |= {PACKING, CLEANING}
        may = self._passes if self._clock_watch.is_trusted else (PACKING,)
        wanted = [name for name in may if name in self._wanted]
        self.wake_at = 0 if len(wanted) > 1 else self._next
        return self._pass(wanted[0]) if wanted else None

    @property
    def _next(self) -> int:
        return min(self._packing.next, self._cleaning.next)

    def _pass(self, name: str) -> Work:
        """Do a pass. If it does not end it is still wanted; what was not reached stays as it is."""
        self._wanted.discard(name)
        steps, goes_on = self._passes[name](), True
        try:
            while goes_on:
                started = time.perf_counter()
                goes_on = next(steps, steps) is None
                self._statistics.upkeep(name, time.perf_counter() - started)
                if goes_on:
                    yield None
        finally:
            if goes_on:
                self._wanted.add(name)
        self._statistics.passed(name)
