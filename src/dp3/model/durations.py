"""Durations as they are configured, and date-times that always have a zone."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from dp3.model.unix_time import read_unix_time

_SHORT = re.compile(r"\s*([0-9]+)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_time_duration(duration: str | int | float | timedelta) -> timedelta:
    """A duration from `10s`, `5m`, `2h`, `7d`, the text `0`, a number of seconds or a `timedelta`.

    Raises `ValueError` for everything else.
    """
    if isinstance(duration, timedelta):
        return duration
    try:
        if isinstance(duration, str):
            return _parse_short(duration)
        if isinstance(duration, int | float) and not isinstance(duration, bool):
            return timedelta(seconds=duration)
    except OverflowError:
        raise ValueError(f"Time duration is too long: {duration!r}") from None
    raise ValueError(f"Invalid time duration: expected text such as '5m' or seconds, got {duration!r}")


def _parse_short(text: str) -> timedelta:
    if text == "0":
        return timedelta(0)
    match = _SHORT.fullmatch(text)
    if match is None:
        raise ValueError(f"Invalid time duration string: expected digits and one of s, m, h, d, got {text!r}")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _configured_duration(value: Any) -> Any:
    """Leave texts that are neither short nor a bare number to pydantic (ISO 8601, `HH:MM:SS`)."""
    if isinstance(value, str) and not _SHORT.fullmatch(value) and not value.strip().isdecimal():
        return value
    return parse_time_duration(value)


ParsedTimedelta = Annotated[timedelta, BeforeValidator(_configured_duration)]
"""A duration field: the short forms, seconds, a `timedelta`, ISO 8601 or `HH:MM:SS`."""


def _not_negative(duration: timedelta) -> timedelta:
    if duration < timedelta(0):
        raise ValueError(f"Duration must not be negative, got {duration.total_seconds():g} s")
    return duration


def _positive(duration: timedelta) -> timedelta:
    if duration <= timedelta(0):
        raise ValueError(f"Duration must be longer than 0 s, got {duration.total_seconds():g} s")
    return duration


NonNegativeDuration = Annotated[ParsedTimedelta, AfterValidator(_not_negative)]
PositiveDuration = Annotated[ParsedTimedelta, AfterValidator(_positive)]


def aware(moment: datetime) -> datetime:
    """The moment with a zone; one without is taken as UTC. `ValueError` if UTC cannot express it."""
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    if moment.year in (1, 9999):
        _require_expressible_in_utc(moment)
    return moment


def _require_expressible_in_utc(moment: datetime) -> None:
    try:
        moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("date-time lies outside the years 1 to 9999 in UTC") from None


def none_if_empty(t2: Any) -> Any:
    """None for a `t2` that says nothing: senders write an empty text or the number 0 for "none", too."""
    return None if t2 == "" or (t2 == 0 and not isinstance(t2, bool)) else t2


def _t1_if_missing(t2: Any, info: ValidationInfo) -> Any:
    end = none_if_empty(t2)
    return info.data.get("t1") if end is None else end


def _not_before_t1(t2: datetime, info: ValidationInfo) -> datetime:
    t1 = info.data.get("t1")
    if t1 is not None and t2 < t1:
        raise AssertionError("'t2' is before 't1'")
    return t2


AwareDatetime = Annotated[datetime, BeforeValidator(read_unix_time), AfterValidator(aware)]
"""A date-time field; input without a zone is UTC, other zones are kept, numbers are Unix times."""

T2Datetime = Annotated[AwareDatetime, BeforeValidator(_t1_if_missing), AfterValidator(_not_before_t1)]
"""The end of a validity interval: the value of the field `t1` when missing or empty, and never before it."""
