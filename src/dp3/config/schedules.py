"""Schedules that never fire, such as one for 31 February."""

from collections.abc import Mapping
from datetime import datetime, tzinfo

_ORDER = ("year", "month", "day", "week", "day_of_week", "hour", "minute", "second")
_OF_DATES = ("year", "month", "day", "week")
"""Only these can name a date that does not come: every day of the week comes, and every time of the day."""


def never_fires(fields: Mapping[str, int | str | None], timezone: str | tzinfo, now: datetime) -> str | None:
    """A sentence about cron fields that no moment from now on has; None when there is one.

    >>> from datetime import UTC
    >>> never_fires({"day": 31, "month": 2}, "UTC", datetime(2026, 1, 1, tzinfo=UTC))
    'this schedule never fires: no moment has month 2, day 31'
    """
    given = {name: fields[name] for name in _ORDER if fields.get(name) is not None}
    if given.keys().isdisjoint(_OF_DATES):
        return None

    from apscheduler.triggers.cron import (
        CronTrigger,
    )  # takes a tenth of a second, and few schedules name dates

    if CronTrigger(**given, timezone=timezone).get_next_fire_time(None, now) is not None:
        return None
    return f"this schedule never fires: no moment has {', '.join(f'{k} {v}' for k, v in given.items())}"
