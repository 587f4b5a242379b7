"""Cron expressions of configuration files."""

from typing import Any

import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from dp3.config.kinds import CronExpression, CronStr, TimeInt

LIMITS = {
    "second": (0, 59),
    "minute": (0, 59),
    "hour": (0, 23),
    "day": (1, 31),
    "day_of_week": (0, 6),
    "week": (1, 53),
    "month": (1, 12),
    "year": (1970, 9999),
}
FIELDS = st.sampled_from(sorted(LIMITS))


@pytest.mark.parametrize("field", LIMITS)
def test_numbers_within_the_limits_are_accepted_as_integer_and_as_text(field: str) -> None:
    for number in LIMITS[field]:
        assert CronExpression(**{field: number}).fields() == {field: number}
        assert CronExpression(**{field: str(number)}).fields() == {field: str(number)}


@pytest.mark.parametrize("field", LIMITS)
def test_numbers_outside_the_limits_are_refused_as_integer_and_inside_text(field: str) -> None:
    low, high = LIMITS[field]
    for number in (low - 1, high + 1):
        for value in (number, str(number), f"{low},{number}", f"{number}-{number}"):
            with pytest.raises(ValidationError):
                CronExpression(**{field: value})


@pytest.mark.parametrize("value", ["*", "*/5", "1", "1,2,3", "1-5", "1-5/2", "1-2,5,10-20/5"])
@pytest.mark.parametrize("field", ["second", "minute", "hour", "day", "month", "week"])
def test_every_documented_form_is_accepted(field: str, value: str) -> None:
    if field == "month":
        value = value.replace("20", "12").replace("/5", "/2")
    assert CronExpression(**{field: value}).fields() == {field: value}


@pytest.mark.parametrize(
    ("field", "text", "meaning"),
    [
        ("day_of_week", "mon", "0"),
        ("day_of_week", "Mon-Fri", "0-4"),
        ("day_of_week", "sat, sun", "5,6"),
        ("day_of_week", "mon-4/2", "0-4/2"),
        ("month", "jan-mar,DEC", "1-3,12"),
    ],
)
def test_names_of_days_and_months_stand_for_numbers(field: str, text: str, meaning: str) -> None:
    assert CronExpression(**{field: text}).fields() == {field: meaning}


@pytest.mark.parametrize(
    "value",
    [
        "",
        ",",
        "1,",
        "a",
        "mon",
        "*/0",
        "*/60",
        "5-1",
        "1-5/5",
        "1 - 5",
        "5/2",
        "1.5",
        "-1",
        "²",
        True,
        1.5,
        [1],
        {},
    ],
)
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        CronExpression(minute=value)


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError):
        CronExpression.model_validate({"minutes": 5})


def test_omitted_and_null_fields_are_not_given() -> None:
    assert CronExpression(hour=None, minute=5).fields() == {"minute": 5}


def test_time_zone_is_utc_unless_given() -> None:
    assert CronExpression().timezone == "UTC"
    assert CronExpression(timezone="Europe/Prague").timezone == "Europe/Prague"


@pytest.mark.parametrize("name", ["Europe/Pragu", "", "../etc/passwd", "/etc/passwd"])
def test_unknown_time_zone_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="expected the name of a time zone"):
        CronExpression(timezone=name)


def test_expression_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        CronExpression().minute = 5  # type: ignore[misc]


ITEMS = st.from_regex(r"\A(\*|\*/[0-9]{1,2}|[0-9a-z]{1,3}|[0-9a-z]{1,3}-[0-9a-z]{1,3}(/[0-9]{1,2})?)\Z")


@given(FIELDS, st.lists(ITEMS, min_size=1, max_size=3))
def test_whatever_is_accepted_the_scheduler_accepts(field: str, items: list[str]) -> None:
    try:
        expression = CronExpression(**{field: ",".join(items)})
    except ValidationError:
        return
    CronTrigger(**expression.fields(), timezone="UTC")


@given(FIELDS, st.data())
def test_valid_expressions_survive_being_read_again(field: str, data: st.DataObject) -> None:
    low, high = LIMITS[field]
    first = data.draw(st.integers(low, high - 1))
    last = data.draw(st.integers(first + 1, high))
    step = data.draw(st.integers(1, last - first))
    once = CronExpression(**{field: f"{first}-{last}/{step},{last}"})
    assert CronExpression(**once.fields()) == once


class OwnSchedule(BaseModel):
    """As modules put their own configuration together."""

    minute: TimeInt | CronStr = 0


@pytest.mark.parametrize("value", ["*", "*/5", "1", "1,2,30", "5-10", "5-10/2", "mon-fri", "jan,jul", 0, 59])
def test_modules_may_use_the_types_of_cron_fields(value: object) -> None:
    assert OwnSchedule.model_validate({"minute": value}).minute == value


@pytest.mark.parametrize("value", ["", "x", "*/0", "10-5", "1;2", "1,,2", "5-", 60, -1, None, 1.5])
def test_what_is_no_cron_field_is_refused_by_these_types(value: object) -> None:
    with pytest.raises(ValidationError):
        OwnSchedule.model_validate({"minute": value})


def test_a_wrong_cron_text_says_what_is_expected() -> None:
    with pytest.raises(
        ValidationError, match=r"expected \*, \*/n, a, a-b, a-b/n or a comma list of these, got 'x'"
    ):
        TypeAdapter(CronStr).validate_python("x")
