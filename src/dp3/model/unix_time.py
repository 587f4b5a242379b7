"""Unix times as numbers: seconds, or milliseconds as JavaScript counts."""

import re
from datetime import datetime
from decimal import Decimal
from math import floor
from typing import Any

from pydantic_core import PydanticKnownError

from dp3.clock import FIRST_US, LAST_US, to_datetime
from dp3.model.errors import shown

SECONDS_UP_TO = 20_000_000_000
"""Numbers up to this one, and its negative, are seconds: until the year 2603."""

MILLISECONDS_FROM = 260_000_000_000
"""Numbers from this one on, and below its negative, are milliseconds: before 1961 and after 1978. It is above
the last second of the year 9999, so that no time in seconds is taken for another one in milliseconds."""

_match_number = re.compile(r"[+-]?(?:\d+(?P<fraction>\.\d*)?|(?P<only>\.\d+))", re.ASCII).fullmatch

_LONGEST_INTEGER = 20


def unix_us(number: float) -> int:
    """A Unix time in seconds or milliseconds as microseconds.

    Raises `ValueError` for numbers between the two, which may be either, and for what is no time of the years
    1 to 9999.
    """
    magnitude = abs(number)
    if magnitude <= SECONDS_UP_TO:
        us = _scaled(number, 1_000_000)
    elif MILLISECONDS_FROM <= magnitude <= LAST_US:
        us = _scaled(number, 1_000)
    elif SECONDS_UP_TO < magnitude < MILLISECONDS_FROM:
        raise ValueError(
            f"{shown(number)} is neither seconds (at most {SECONDS_UP_TO}, the year 2603) nor milliseconds "
            f"(at least {MILLISECONDS_FROM}, the year 1978): send text such as '3000-01-01T00:00:00Z'"
        )
    else:
        raise _no_time(number)
    if not FIRST_US <= us <= LAST_US:
        raise _no_time(number)
    return us


def _scaled(number: float, unit: int) -> int:
    """`number * unit`, rounded once: the product of a large number has not all of its digits."""
    whole = floor(number)
    return whole * unit + round((number - whole) * unit)


def _no_time(number: float) -> ValueError:
    return ValueError(
        f"as a Unix time in seconds or milliseconds, {shown(number)} lies outside the years 1 to 9999"
    )


def read_unix_time(value: Any) -> Any:
    """For pydantic, before a date-time: the moment that a number, or the text of one, stands for; other
    values as they are."""
    number = _number(value)
    if number is None:
        return value
    try:
        return to_datetime(unix_us(number))
    except ValueError as error:
        raise PydanticKnownError("datetime_parsing", {"error": str(error)}) from None


def _number(value: Any) -> int | float | None:
    if isinstance(value, datetime | bool):
        return None
    if isinstance(value, int | float):
        return value
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if not isinstance(value, str):
        return None
    match = _match_number(value)
    if match is None:
        return None
    is_integer = match["fraction"] is None and match["only"] is None and len(value) <= _LONGEST_INTEGER
    return int(value) if is_integer else float(value)
