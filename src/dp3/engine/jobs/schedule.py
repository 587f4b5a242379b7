"""The moments at which jobs begin by themselves."""

from datetime import timedelta

from apscheduler.triggers.cron import CronTrigger

from dp3.clock import to_datetime, to_us
from dp3.config.kinds import CronExpression
from dp3.engine.jobs.job import NEVER

LATE_US = 60_000_000
"""A moment that was noticed later than this is passed over."""


class Schedule:
    """The moments of a cron expression. They are the same for all workers, however late each one looks.

    `next` is the next one (µs), for `wake_at` of a job; what was before `now_us` does not count.
    """

    def __init__(self, cron: CronExpression, now_us: int) -> None:
        self._trigger = CronTrigger(**cron.fields(), timezone=cron.timezone)
        self.next = self._after(now_us - 1)

    def due(self, now_us: int) -> int | None:
        """The latest moment (µs) that has come since the last call, or None."""
        if now_us < self.next:
            return None
        latest, following = self.next, self._after(max(self.next, now_us - LATE_US))
        while following <= now_us:
            latest, following = following, self._after(following)
        self.next = following
        return latest if now_us - latest <= LATE_US else None

    def passed(self, now_us: int) -> bool:
        """True if a moment has come since the last call, however long ago."""
        if now_us < self.next:
            return False
        self.next = self._after(now_us)
        return True

    def _after(self, us: int) -> int:
        found = self._trigger.get_next_fire_time(None, to_datetime(us) + timedelta(microseconds=1))
        return NEVER if found is None else to_us(found)
