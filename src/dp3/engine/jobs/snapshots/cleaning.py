"""Removes snapshots that are older than they have to be."""

import logging

from dp3.clock import to_datetime
from dp3.engine.context import Context
from dp3.engine.jobs.job import Schedule, Work
from dp3.store.ports.snapshots import Cleaned

ROWS = 2_000
"""Rows removed in one piece."""

logger = logging.getLogger(__name__)


class SnapshotCleaningJob:
    """The cleaning as one worker sees it: by `schedule` it removes rows of its own entities that only
    runs longer than `older_than_us` ago show.

    What is to be removed stands in the state, so a worker that is started again goes on with it at once.
    """

    name = "removal of old snapshots"
    watches = False
    every = 16
    """At least one slice is removed for so many batches, however busy the worker is."""

    def __init__(self, context: Context, schedule: Schedule, older_than_us: int) -> None:
        self._cleaning = context.store.cleaning
        self._lease = context.lease
        self._clock = context.clock
        self._clock_watch = context.clock_watch
        self._schedule = schedule
        self._older_than_us = older_than_us
        self._wanted = False
        self.wake_at = 0

    def begin(self, now: int, failures: int) -> Work:
        """Remove what is too old. The horizon is raised at the moments of the schedule only, also if that has
        to be tried again, or the clock is not trusted then."""
        if self._schedule.due(now) is not None:
            self._wanted = True
        self.wake_at = self._schedule.next
        return self._clean()

    def _clean(self) -> Work:
        now = self._clock.now_us()
        if self._wanted and self._clock_watch.is_trusted:
            self._cleaning.raise_horizon(self._lease, now - self._older_than_us, now)
            self._wanted = False
        total = Cleaned(more=True)
        while total.more:
            total = total.and_then(self._cleaning.clean(self._lease, ROWS))
            yield None
        horizon = self._cleaning.horizon() if total.runs or total.rows else None
        if horizon is not None:
            logger.info(
                "snapshots before %s are removed: %d runs, %d snapshots of own entities",
                to_datetime(horizon),
                total.runs,
                total.rows,
            )
