"""Durations and date-times with a zone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from dp3.model.durations import AwareDatetime, ParsedTimedelta, parse_time_duration

duration = TypeAdapter(ParsedTimedelta).validate_python
moment = TypeAdapter(AwareDatetime).validate_python


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("10s", timedelta(seconds=10)),
        (" 5m", timedelta(minutes=5)),
        ("2h", timedelta(hours=2)),
        ("7d", timedelta(days=7)),
        ("0", timedelta(0)),
        (10, timedelta(seconds=10)),
        (1.5, timedelta(seconds=1.5)),
        (timedelta(1), timedelta(1)),
    ],
)
def test_short_forms_and_numbers_are_durations(value: Any, expected: timedelta) -> None:
    assert parse_time_duration(value) == duration(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("P1D", timedelta(days=1)),
        ("PT5M", timedelta(minutes=5)),
        ("01:00:00", timedelta(hours=1)),
        ("1d 01:00:00", timedelta(hours=25)),
    ],
)
def test_iso_and_clock_forms_are_for_configuration_only(value: str, expected: timedelta) -> None:
    assert duration(value) == expected
    with pytest.raises(ValueError, match="Invalid time duration string"):
        parse_time_duration(value)


@pytest.mark.parametrize(
    "value",
    [
        *("10", "-5s", "1.5h", "5 s", "5w", "1h30m", "", "inf", "x", "5s\n", "٣s", "9" * 20 + "d"),
        *(None, True, [], float("nan"), float("inf"), 1e300),
    ],
)
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):
        parse_time_duration(value)
    with pytest.raises(ValidationError):
        duration(value)


def test_bare_number_text_is_named_as_invalid() -> None:
    with pytest.raises(ValidationError, match="Invalid time duration string"):
        duration("10")


@settings(deadline=None)
@given(st.integers(0, 10**6), st.sampled_from("smhd"))
def test_short_form_is_number_times_unit(number: int, unit: str) -> None:
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    assert parse_time_duration(f"{number}{unit}") == timedelta(seconds=number * seconds)


def test_date_time_without_zone_is_utc() -> None:
    assert moment("2020-01-01T00:00:00") == datetime(2020, 1, 1, tzinfo=UTC)


def test_date_time_keeps_its_zone() -> None:
    assert moment("2020-01-01T00:00:00+02:00").utcoffset() == timedelta(hours=2)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"])
def test_date_time_that_utc_cannot_express_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="outside the years 1 to 9999"):
        moment(text)
