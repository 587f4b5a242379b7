"""Numbers as times: seconds or milliseconds, never the one taken for the other."""

import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from dp3.clock import FIRST_US, LAST_US, to_us
from dp3.model.durations import AwareDatetime
from dp3.model.unix_time import unix_us

moment = TypeAdapter(AwareDatetime).validate_python

S, MS = 1_000_000, 1_000


@pytest.mark.parametrize(
    ("number", "us"),
    [
        (0, 0),
        (1577880000, 1577880000 * S),
        (1577880000.25, 1577880000_250_000),
        (1577880000.1234567, 1577880000_123_457),
        (-1.5, -1_500_000),
        (20_000_000_000, 20_000_000_000 * S),
        (-20_000_000_000, -20_000_000_000 * S),
        (260_000_000_000, 260_000_000_000 * MS),
        (-260_000_000_000, -260_000_000_000 * MS),
        (1577880000_123, 1577880000_123_000),
        (1577880000_123.5, 1577880000_123_500),
        (253402300799_999, LAST_US - 999),
        (-62135596800_000, FIRST_US),
    ],
)
def test_small_numbers_are_seconds_and_large_ones_milliseconds(number: float, us: int) -> None:
    assert unix_us(number) == us
    for spelled in (number, str(number), f"{number:+}", str(number).encode(), Decimal(str(number))):
        assert to_us(moment(spelled)) == us, spelled


@pytest.mark.parametrize(
    "number",
    [
        20_000_000_001,
        20_000_000_000.01,
        32503680000,  # the year 3000 in seconds
        253402300799,  # the last second of the year 9999
        -62135596800,  # the first one of the year 1
        259_999_999_999,
        -259_999_999_999.5,
    ],
)
def test_what_may_be_either_is_refused_with_the_reason(number: float) -> None:
    with pytest.raises(ValueError, match=r"neither seconds .* nor milliseconds"):
        unix_us(number)
    for spelled in (number, float(number), str(number), str(number).encode(), Decimal(str(number))):
        with pytest.raises(ValidationError, match=r"neither seconds .* nor milliseconds") as caught:
            moment(spelled)
        (error,) = caught.value.errors()
        assert error["type"] == "datetime_parsing", spelled


@pytest.mark.parametrize(
    "number",
    [math.nan, math.inf, -math.inf, 1e300, 10**400, 253402300800_000, -62135596800_001, 1577880000_000_000],
)
def test_what_is_no_time_at_all_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="1 to 9999"):
        unix_us(number)
    with pytest.raises(ValidationError, match="1 to 9999"):
        moment(number)


@pytest.mark.parametrize("value", [True, False, "1e9", "1_000", " 1", "nan", "", ".", "-", "١٢٣", None, [1]])
def test_other_values_are_not_taken_for_numbers(value: Any) -> None:
    with pytest.raises(ValidationError):
        moment(value)


@given(st.datetimes(datetime(1979, 1, 1), datetime(2600, 1, 1)))
def test_both_units_mean_the_same_moment(at: datetime) -> None:
    exact = at.replace(microsecond=at.microsecond // 1000 * 1000, tzinfo=UTC)
    milliseconds = to_us(exact) // MS
    assert moment(milliseconds) == exact
    assert moment(milliseconds // 1000) == exact.replace(microsecond=0)


@given(st.integers() | st.floats(allow_nan=False))
def test_negative_numbers_are_read_as_positive_ones(number: float) -> None:
    def magnitude(n: float) -> float | None:
        try:
            return abs(unix_us(n))
        except ValueError:
            return None

    positive, negative = magnitude(number), magnitude(-number)
    assert positive == negative or None in (positive, negative)
    if positive is None and negative is not None:  # the years 2 BC and before can not be written
        assert negative > -FIRST_US
