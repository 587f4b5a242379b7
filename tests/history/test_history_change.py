"""Rules of the time at which a value changes by itself."""

import naive_history
import pytest
from history_strategies import any_params, histories, thorough
from hypothesis import given
from hypothesis import strategies as st
from product import canonical, next_change, value_at, values_at

from dp3.history import Params
from kit.history import Observation, Segment

UNIT = 1_000_000_000
DAY_US = 86_400_000_000


def segment(t1: int, t2: int, v: bytes, c: int = UNIT) -> Segment:
    return Segment(t1, t2, c, 1, v)


def what_is_seen(segments: list[Segment], t: int, params: Params) -> object:
    if params.multi_value:
        return {current.v for current in values_at(segments, t, params)}
    current = value_at(segments, t, params)
    return current and current.v


@thorough
@given(histories(), any_params(), st.integers(-10, 55))
def test_next_change_is_the_first_tick_that_differs(
    history: list[Observation], params: Params, t: int
) -> None:
    segments = canonical(history, params)
    assert next_change(segments, t, params) == naive_history.next_change(segments, t, params)


@thorough
@given(histories(ticks=12, longest=4), any_params(longest=25), st.integers(-30, 30))
def test_next_change_finds_every_crossing_of_long_slopes(
    history: list[Observation], params: Params, t: int
) -> None:
    segments = canonical(history, params)
    assert next_change(segments, t, params) == naive_history.next_change(segments, t, params)


@thorough
@given(histories(3 * DAY_US, DAY_US), any_params(2 * DAY_US), st.integers(-DAY_US, 4 * DAY_US), st.data())
def test_next_change_is_exact_at_real_magnitudes(
    history: list[Observation], params: Params, t: int, data: st.DataObject
) -> None:
    segments = canonical(history, params)
    change = next_change(segments, t, params)
    now = what_is_seen(segments, t, params)
    last_alike = t + 10 * DAY_US if change is None else change - 1
    samples = [data.draw(st.integers(t, last_alike)) for _ in range(5)]
    assert all(what_is_seen(segments, at, params) == now for at in [*samples, last_alike])
    assert change is None or (change > t and what_is_seen(segments, change, params) != now)


@pytest.mark.parametrize("multi_value", [False, True])
def test_an_empty_history_never_changes(multi_value: bool) -> None:
    assert next_change([], 0, Params(multi_value=multi_value)) is None


@pytest.mark.parametrize("multi_value", [False, True])
def test_a_value_appears_and_disappears_with_its_validity(multi_value: bool) -> None:
    history = [segment(100, 200, b"A")]
    params = Params(pre=10, post=20, multi_value=multi_value)
    assert next_change(history, 0, params) == 91
    assert next_change(history, 91, params) == 220
    assert next_change(history, 220, params) is None


@pytest.mark.parametrize("multi_value", [False, True])
def test_validities_of_one_value_that_follow_without_a_gap_are_no_change(multi_value: bool) -> None:
    history = [segment(0, 10, b"A"), segment(11, 20, b"A")]
    assert next_change(history, 5, Params(multi_value=multi_value)) == 21


@pytest.mark.parametrize("multi_value", [False, True])
def test_an_observation_without_confidence_changes_nothing(multi_value: bool) -> None:
    history = [segment(0, 10, b"A"), segment(5, 15, b"B", c=0)]
    params = Params(multi_value=multi_value)
    assert next_change(history, 0, params) == 11
    assert next_change(history, 11, params) is None


def test_a_falling_confidence_is_crossed_by_a_rising_one() -> None:
    history = [segment(0, 0, b"A"), segment(100, 100, b"B")]
    params = Params(pre=100, post=100)
    assert next_change(history, 0, params) == 50, "a tie, which the later one wins"
    assert next_change(history, 50, params) == 200


def test_a_crossing_between_two_microseconds_counts_from_the_next() -> None:
    history = [segment(0, 0, b"A"), segment(101, 101, b"B")]
    assert next_change(history, 0, Params(pre=101, post=101)) == 51


def test_a_segment_of_the_same_value_that_takes_over_is_no_change() -> None:
    history = [segment(0, 10, b"A"), segment(5, 6, b"B", c=1), segment(20, 30, b"A")]
    assert next_change(history, 0, Params(pre=8, post=8)) == 38


def test_a_rival_that_the_same_value_outdoes_elsewhere_is_no_change() -> None:
    history = [segment(0, 10, b"A"), segment(5, 60, b"B", c=UNIT // 2), segment(11, 50, b"A")]
    assert next_change(history, 0, Params(post=100, aggregate=False)) == 141


def test_a_set_of_values_changes_only_when_a_value_comes_or_goes() -> None:
    history = [segment(0, 10, b"A"), segment(0, 30, b"B"), segment(8, 20, b"A"), segment(25, 26, b"C")]
    params = Params(multi_value=True, aggregate=False)
    assert [next_change(history, t, params) for t in (0, 21, 25, 27)] == [21, 25, 27, 31]


def test_a_value_that_comes_at_the_very_next_microsecond_is_a_change() -> None:
    history = [segment(0, 10, b"A"), segment(5, 20, b"B")]
    assert next_change(history, 4, Params(multi_value=True)) == 5


@pytest.mark.timeout(5)
def test_a_tie_that_lasts_is_not_walked_through_by_the_microsecond() -> None:
    history = [segment(0, 10 * DAY_US, b"A"), segment(0, 20 * DAY_US, b"B")]
    assert next_change(history, 0, Params()) == 20 * DAY_US + 1


def test_an_observation_inside_a_longer_one_of_its_value_does_not_end_it() -> None:
    history = [segment(0, 20, b"A"), segment(5, 10, b"A")]
    assert next_change(history, 7, Params(multi_value=True, aggregate=False)) == 21
