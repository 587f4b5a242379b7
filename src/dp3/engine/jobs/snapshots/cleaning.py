"""Removes snapshots that are older than they have to be."""

import logging
from dataclasses import dataclass

from dp3.clock import Clock, to_datetime
from dp3.config.cron import CronExpression
from dp3.engine.jobs.schedule import Schedule
from dp3.store.ports.errors import StoreFull
from dp3.store.ports.leases import Lease
from dp3.store.ports.snapshots import Cleaned
from dp3.store.ports.state import State

ROWS = 2_000
"""Rows removed in one slice."""

EVERY = 16
"""At least one slice is removed for so many batches, however busy the worker is."""

RETRY_US = 1_000_000
"""Time between attempts while the disk is full."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CleaningSettings:
    """runs longer than `older_than_us` ago go."""

    cron: CronExpression
    older_than_us: int


class SnapshotCleaning:
    """The cleaning as one worker sees it; it removes rows of its own entities.

    What is to be removed stands in the state, so a worker that is started again goes on with it.
    """

    def __init__(self, state: State, clock: Clock, lease: Lease, settings: CleaningSettings) -> None:
        self._state = state
        self._clock = clock
        self._lease = lease
        self._settings = settings
        self._ticks = Schedule(settings.cron, clock.now_us())
        self._under_way = True
        self._before: int | None = None
        self._calls = 0
        self._total = Cleaned()
        self._not_before = 0

    def step(self, may_block: bool) -> bool:
        """Remove a slice if it is time; returns whether there was anything to do. Called by the worker's
        thread; not `may_block` after a batch."""
        now = self._clock.now_us()
        if self._ticks.due(now) is not None:
            self._before, self._under_way = now - self._settings.older_than_us, True
        self._calls += 1
        if not self._under_way or now < self._not_before or not (may_block or self._calls % EVERY == 0):
            return False
        try:
            self._go_on()
        except StoreFull as error:
            logger.error("old snapshots can not be removed, waiting: %s", error)
            self._not_before = now + RETRY_US
            return False
        return True

    def _go_on(self) -> None:
        if self._before is not None:
            self._state.cleaning.raise_horizon(self._lease, self._before)
            self._before = None
        self._clean()

    def _clean(self) -> None:
        self._total = self._total.and_then(self._state.cleaning.clean(self._lease, ROWS))
        if self._total.more:
            return
        self._under_way = False
        horizon = self._state.cleaning.horizon()
        if horizon is not None and (self._total.runs or self._total.rows):
            logger.info(
                "snapshots before %s are removed: %d runs, %d snapshots of own entities",
                to_datetime(horizon),
                self._total.runs,
                self._total.rows,
            )
        self._total = Cleaned()
