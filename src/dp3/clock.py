"""The one clock of the program; tests replace it (`FakeClock`)."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

FIRST_US = -62_135_596_800_000_000
"""0001-01-01T00:00:00Z, the earliest time that can be written."""

LAST_US = 253_402_300_799_999_999
"""9999-12-31T23:59:59.999999Z, the latest time that can be written."""


class Clock(Protocol):
    def now_us(self) -> int:
        """Microseconds since 1970-01-01 UTC. May be wrong, and jump either way when it is set."""
        ...

    def monotonic_us(self) -> int:
        """Microseconds since some moment; goes on evenly whatever the time is set to."""
        ...


class SystemClock:
    def now_us(self) -> int:
        return time.time_ns() // 1000

    def monotonic_us(self) -> int:
        return time.monotonic_ns() // 1000


class FakeClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now_us: int = 1_600_000_000_000_000) -> None:
        self._now_us = now_us
        self._monotonic_us = 0

    def now_us(self) -> int:
        return self._now_us

    def monotonic_us(self) -> int:
        return self._monotonic_us

    def advance(self, seconds: float) -> None:
        """So much time passes; a negative number sets the clock back."""
        self._now_us += round(seconds * 1_000_000)
        self._monotonic_us += max(round(seconds * 1_000_000), 0)

    def jump(self, seconds: float) -> None:
        """The clock is set, ahead or back."""
        self._now_us += round(seconds * 1_000_000)


def to_datetime(us: int) -> datetime:
    """Microseconds since the epoch as an aware UTC date-time."""
    return datetime.fromtimestamp(us // 1_000_000, UTC).replace(microsecond=us % 1_000_000)


def to_us(moment: datetime) -> int:
    """An aware date-time (a naive one is taken as UTC) as microseconds since the epoch."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    delta = aware - EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def duration_us(duration: timedelta) -> int:
    """A duration in whole microseconds."""
    return duration // timedelta(microseconds=1)
