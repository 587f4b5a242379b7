"""Upkeep of history: packing what came in, removing what is too old."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dp3.clock import Clock
from dp3.engine.context import Context
from dp3.engine.jobs.history.packing import Compactor, PackLimits, united_attrs
from dp3.engine.jobs.history.retention import Retention, counted_attrs, limited_attrs
from dp3.engine.jobs.schedule import Ticks
from dp3.engine.plans import TypePlan
from dp3.engine.statistics import Statistics
from dp3.model.spec import ModelSpec
from dp3.store.ports.errors import LeaseLost, StoreFull

RETRY_US = 1_000_000

PACKING, CLEANING = "packing", "cleaning"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HistorySettings:
    """When history is packed and when it is cleaned: arguments of cron triggers."""

    packing: Mapping[str, Any]
    cleaning: Mapping[str, Any]
    limits: PackLimits = field(default_factory=PackLimits)


class HistoryWork:
    """Upkeep of history as one worker sees it. All methods are called by the worker's thread."""

    def __init__(
        self,
        compactor: Compactor,
        retention: Retention,
        clock: Clock,
        packing: Ticks,
        cleaning: Ticks,
        statistics: Statistics,
    ) -> None:
        self._clock = clock
        self._packing = packing
        self._cleaning = cleaning
        self._statistics = statistics
        self._passes: dict[str, Callable[[], Iterator[None]]] = {
            PACKING: compactor.steps,
            CLEANING: retention.steps,
        }
        self._wanted: set[str] = set()
        self._job: tuple[str, Iterator[None]] | None = None
        self._not_before = 0

    def request(self, *passes: str) -> None:
        """Begin passes at the next step: `PACKING`, which is meant if nothing is said, or `CLEANING`."""
        self._wanted.update(passes or (PACKING,))

    def step(self) -> bool:
        """Work for at most a slice of time; returns whether there was anything to do. Raises `LeaseLost`."""
        now = self._clock.now_us()
        if self._packing.due(now) is not None:
            self.request(PACKING)
        if self._cleaning.passed(now):
            self.request(PACKING, CLEANING)
        if now < self._not_before:
            return False
        if self._job is None:
            self._job = self._next()
        return self._job is not None and self._go_on(*self._job)

    def _next(self) -> tuple[str, Iterator[None]] | None:
        for name, steps in self._passes.items():
            if name in self._wanted:
                self._wanted.remove(name)
                return name, steps()
        return None

    def _go_on(self, name: str, steps: Iterator[None]) -> bool:
        started = time.perf_counter()
        try:
            next(steps)
        except StopIteration:
            self._job = None
            self._statistics.passed(name)
        except LeaseLost:
            raise
        except StoreFull as error:
            logger.error("%s of history waits: %s", name, error)
            self._job, self._not_before = None, self._clock.now_us() + RETRY_US
            self.request(name)
            return False
        except Exception:
            logger.exception("%s of history failed; what was not reached stays as it is", name)
            self._job = None
        self._statistics.upkeep(name, time.perf_counter() - started)
        return True


def make_history_work(
    context: Context,
    model: ModelSpec,
    plans: Mapping[str, TypePlan],
    settings: HistorySettings,
    statistics: Statistics,
) -> HistoryWork:
    """What a worker does for history. Cleaning that was interrupted goes on; if it was missed while nobody
    worked it is made up for."""
    state, clock, lease = context.store, context.clock, context.lease
    limited, united = limited_attrs(model, plans), united_attrs(model, state)
    now, last = clock.now_us(), state.retention.last_pass(lease.index)
    work = HistoryWork(
        Compactor(state, context.log, lease, united, settings.limits, counted_attrs(limited), statistics),
        Retention(state, clock, lease, limited),
        clock,
        Ticks(settings.packing, now),
        Ticks(settings.cleaning, now if last is None else last.begun + 1),
        statistics,
    )
    if last is not None and not last.done:
        work.request(CLEANING)
    return work
