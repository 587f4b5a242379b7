"""Lifetimes as one worker sees them: collections by schedule, and what deletions leave to be done."""

import logging
import time
from collections.abc import Mapping
from typing import Any

from dp3.clock import Clock
from dp3.engine.context import Context
from dp3.engine.jobs.lifetimes.collector import Collector, CollectorParts, Offsets
from dp3.engine.jobs.lifetimes.tombstones import Sweeper
from dp3.engine.jobs.schedule import Ticks
from dp3.engine.plans import TypePlan
from dp3.store.ports.errors import StoreFull
from dp3.store.ports.state import State

SLICE_S = 0.03
"""No further piece is begun after this time."""

RETRY_US = 1_000_000

logger = logging.getLogger(__name__)


class LifetimeWork:
    """Pieces of collections and of the sweeping of tombstones, between batches. For the worker's thread."""

    def __init__(
        self, state: State, clock: Clock, collector: Collector, sweeper: Sweeper, ticks: Ticks
    ) -> None:
        self._state = state
        self._clock = clock
        self._collector = collector
        self._sweeper = sweeper
        self._ticks = ticks
        self._seen: int | None = None
        self._not_before = 0

    def step(self, offsets: Offsets) -> bool:
        """Work for at most a slice of time; returns whether there was anything to do. `offsets` tells how far
        the worker is in each lane of the log."""
        now = self._clock.now_us()
        if self._ticks.passed(now):
            self._collector.begin()
        if now < self._not_before:
            return False
        try:
            return self._work(offsets)
        except StoreFull as error:
            logger.error("ends of lifetimes can not be written, waiting: %s", error)
            self._seen, self._not_before = None, now + RETRY_US
            return False

    def _work(self, offsets: Offsets) -> bool:
        end = time.perf_counter() + SLICE_S
        worked = False
        while time.perf_counter() < end:
            collecting = self._collector.is_open
            if collecting:
                self._collector.step(offsets)
            if not (self._sweep() or collecting):
                break
            worked = True
        return worked

    def _sweep(self) -> bool:
        """Tombstones change, and others read on, with commits only."""
        version = self._state.changes.version()
        if version == self._seen:
            return False
        if self._sweeper.step():
            return True
        self._seen = version
        return False


def make_lifetime_work(
    context: Context, plans: Mapping[str, TypePlan], cron: Mapping[str, Any]
) -> LifetimeWork:
    """What a worker does for lifetimes; `cron` are the arguments of a cron trigger for collections. One that
    was missed while nobody worked is made up for."""
    state, clock, lease = context.store, context.clock, context.lease
    last, now = state.lifetimes.last_collection(lease.index), clock.now_us()
    return LifetimeWork(
        state,
        clock,
        Collector(CollectorParts(state, context.log, clock, lease, plans)),
        Sweeper(state, lease),
        Ticks(cron, now if last is None else last.begun + 1),
    )
