"""When runs begin by themselves."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from apscheduler.triggers.cron import CronTrigger

from dp3.clock import to_datetime, to_us
from dp3.config.kinds import CronExpression

LATE_US = 60_000_000
"""A moment that was noticed later than this is passed over."""

_NEVER = 1 << 62


def ticks_of(schedule: CronExpression, now_us: int) -> "Ticks":
    """The moments of a configured schedule."""
    return Ticks(schedule.fields() | {"timezone": schedule.timezone}, now_us)


class Ticks:
    """The moments of a cron expression. They are the same for all workers, however late each one looks.

    `cron` are the arguments of a cron trigger; what was before `now_us` does not count. `next` is the moment
    (µs) that comes next.
    """

    def __init__(self, cron: Mapping[str, Any], now_us: int) -> None:
        self._trigger = CronTrigger(**cron)
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
        """Whether a moment has come since the last call, however long ago."""
        if now_us < self.next:
            return False
        self.next = self._after(now_us)
        return True

    def _after(self, us: int) -> int:
        found = self._trigger.get_next_fire_time(None, to_datetime(us) + timedelta(microseconds=1))
        return _NEVER if found is None else to_us(found)
