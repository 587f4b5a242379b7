# ruff: noqa: E501 - messages stand on one line so that they can be searched
"""Values and times of timeseries."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dp3.clock import to_datetime, to_us
from dp3.model.attrspec import AttrSpecTimeseries
from dp3.model.errors import Reject
from dp3.model.wire import encode_value
from kit.specs import a_model, series_attr

MODEL = a_model({kind: series_attr(kind) for kind in ("regular", "irregular", "irregular_intervals")})
T0 = "2020-01-01T00:00:00Z"
STEP_US = 300 * 1_000_000


def spec_of(kind: str) -> AttrSpecTimeseries:
    spec = MODEL.attr("a", kind)
    assert isinstance(spec, AttrSpecTimeseries)
    return spec


def a_chunk(kind: str, v: Any, t1: Any = T0, **keys: Any) -> Any:
    return spec_of(kind).dp_model(etype="a", eid="e", attr=kind, v=v, t1=t1, **keys)


def minute(n: int) -> str:
    return f"2020-01-01T00:{n:02}:00Z"


def message(kind: str, v: Any, t1: Any = T0, **keys: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        a_chunk(kind, v, t1, **keys)
    (error,) = caught.value.errors()
    return f"{error['loc'][0]}: {error['msg']}"


def test_missing_t2_of_a_regular_series_is_worked_out() -> None:
    assert a_chunk("regular", {"x": [1, 2]}).t2 == datetime(2020, 1, 1, 0, 10, tzinfo=UTC)
    assert a_chunk("regular", {"x": [1, 2]}, t2=None).t2 == datetime(2020, 1, 1, 0, 10, tzinfo=UTC)


def test_t2_of_a_regular_series_must_match_the_number_of_values() -> None:
    assert a_chunk("regular", {"x": [1]}, t2=minute(5)).t2 == datetime(2020, 1, 1, 0, 5, tzinfo=UTC)
    expected = "t2: Assertion failed, Difference of t1 and t2 is invalid. Must be values_len*time_step."
    assert message("regular", {"x": [1]}, t2=minute(4)) == expected


def test_regular_series_may_be_empty() -> None:
    assert a_chunk("regular", {"x": []}).t2 == datetime(2020, 1, 1, tzinfo=UTC)


def test_unknown_series_are_dropped_and_missing_ones_refused() -> None:
    assert spec_of("regular").to_wire(a_chunk("regular", {"x": [1], "y": [2]}).v) == {"x": [1]}
    assert message("regular", {}) == "v: Field required"


def test_series_must_have_equal_lengths() -> None:
    expected = "v: Assertion failed, Series values have different lengths: x: 1, time: 2"
    assert message("irregular", {"x": [1], "time": [T0, T0]}) == expected


@pytest.mark.parametrize(
    ("kind", "v", "keys", "expected"),
    [
        ("irregular", {"x": [1], "time": [minute(0)]}, {"t1": minute(1), "t2": minute(2)}, "'t1' is above first item in 'time' series (2020-01-01T00:00:00Z)"),
        ("irregular", {"x": [1], "time": [minute(3)]}, {"t2": minute(2)}, "'t2' is below last item in 'time' series (2020-01-01T00:03:00Z)"),
        ("irregular", {"x": [1], "time": [minute(3)]}, {}, "'t2' is below last item in 'time' series (2020-01-01T00:03:00Z)"),
        ("irregular", {"x": [1, 2, 3], "time": [minute(1), minute(3), minute(2)]}, {"t2": minute(5)}, "'time' series is not ordered"),
        ("irregular", {"x": [], "time": []}, {}, "'time' series is empty"),
        ("irregular_intervals", {"x": [1], "time_first": [minute(0)], "time_last": [minute(1)]}, {"t1": minute(1), "t2": minute(2)}, "'t1' is above first item in 'time_first' series (2020-01-01T00:00:00Z)"),
        ("irregular_intervals", {"x": [1], "time_first": [minute(0)], "time_last": [minute(3)]}, {"t2": minute(2)}, "'t2' is below last item in 'time_last' series (2020-01-01T00:03:00Z)"),
        ("irregular_intervals", {"x": [1], "time_first": [minute(2)], "time_last": [minute(1)]}, {"t2": minute(2)}, "'time_first' is above 'time_last' at index 0"),
        ("irregular_intervals", {"x": [], "time_first": [], "time_last": []}, {}, "'time_first' series is empty"),
        ("regular", {"x": [1]}, {"t1": minute(1), "t2": minute(0)}, "'t2' is before 't1'"),
        ("regular", {"x": [1]}, {"t1": "9999-12-31T23:59:00Z"}, "'t1' + values_len*time_step lies after the year 9999"),
    ],
)  # fmt: skip
def test_times_that_do_not_fit_are_explained(kind: str, v: Any, keys: Any, expected: str) -> None:
    assert message(kind, v, **keys) == f"t2: Assertion failed, {expected}"


def test_order_of_intervals_is_free() -> None:
    v = {"x": [1, 2], "time_first": [minute(2), minute(1)], "time_last": [minute(3), minute(2)]}
    assert a_chunk("irregular_intervals", v, t2=minute(3)).v.x == [1, 2]


def test_times_of_rows_without_zone_are_utc() -> None:
    chunk = a_chunk("irregular", {"x": [1], "time": ["2020-01-01T00:01:00"]}, t2=minute(2))
    assert chunk.v.time == [datetime(2020, 1, 1, 0, 1, tzinfo=UTC)]


def test_invalid_value_does_not_hide_behind_an_error_about_times() -> None:
    assert message("regular", {"x": ["y"]}).startswith("v: Input should be a valid integer")


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("regular", ["x"]),
        ("irregular", ["x", "time"]),
        ("irregular_intervals", ["x", "time_first", "time_last"]),
    ],
)
def test_every_kind_has_its_implicit_series(kind: str, names: list[str]) -> None:
    assert list(spec_of(kind).series) == names
    unspecified = a_model({"t": series_attr(kind, series=None)}).attr("a", "t")
    assert isinstance(unspecified, AttrSpecTimeseries)
    assert list(unspecified.series) == names[1:]


times = st.integers(-1, 4).map(lambda m: to_us(datetime(2020, 1, 1, tzinfo=UTC)) + m * 60_000_000)
time_texts = st.sampled_from([*map(minute, range(4)), "2020-01-01T00:01:00", "2020-01-01T02:00:30.5+02:00"])
rows = st.lists(st.integers(0, 5), max_size=3)
values = st.fixed_dictionaries(
    {"x": rows, "time": st.lists(time_texts, max_size=3)},
    optional={"time_first": st.lists(time_texts, max_size=3), "time_last": st.lists(time_texts, max_size=3)},
)


@settings(deadline=None)
@given(
    st.sampled_from(["regular", "irregular", "irregular_intervals"]),
    values,
    times,
    st.none() | times | st.just(STEP_US),
)
def test_fast_path_agrees_with_validation(kind: str, v: Any, t1: int, t2: int | None) -> None:
    spec = spec_of(kind)
    end = t1 + STEP_US * len(v["x"]) if t2 == STEP_US else t2
    try:
        wire = spec.accept(v)
        got = spec.accept_times(t1, end, wire)
    except Reject:
        return
    chunk = a_chunk(kind, v, to_datetime(t1), t2=None if end is None else to_datetime(end))
    assert (to_us(chunk.t2), encode_value(spec.to_wire(chunk.v))) == (got, encode_value(wire))


@settings(deadline=None)
@given(st.sampled_from(["regular", "irregular", "irregular_intervals"]), values, times, st.none() | times)
def test_fast_path_takes_what_is_valid(kind: str, v: Any, t1: int, t2: int | None) -> None:
    try:
        chunk = a_chunk(kind, v, to_datetime(t1), t2=None if t2 is None else to_datetime(t2))
    except ValidationError:
        return
    spec = spec_of(kind)
    assert spec.accept_times(t1, t2, spec.accept(v)) == to_us(chunk.t2)
