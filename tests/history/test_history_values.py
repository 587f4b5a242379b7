"""Rules of confidence and of the value at a moment."""

from fractions import Fraction

import naive_history
import pytest
from history_strategies import any_params, histories, thorough
from hypothesis import given
from hypothesis import strategies as st
from product import canonical, confidence_at, validity, value_at, values_at, winner_at

from dp3.history import Params
from kit.history import Observation, Segment

UNIT = 1_000_000_000
moments = st.integers(-10, 55)


def segment(t1: int, t2: int, v: bytes = b"A", c: int = UNIT, n: int = 1) -> Segment:
    return Segment(t1, t2, c, n, v)


@thorough
@given(histories(), any_params(), moments)
def test_confidence_is_exactly_that_of_the_table(history: list[Observation], params: Params, t: int) -> None:
    for part in canonical(history, params):
        assert Fraction(*confidence_at(part, t, params)) == naive_history.confidence(part, t, params)


@thorough
@given(histories(), any_params())
def test_validity_is_where_confidence_is_above_zero(history: list[Observation], params: Params) -> None:
    for part in canonical(history, params):
        first, last = validity(part, params)
        valid = [t for t in range(-10, 60) if confidence_at(part, t, params)[0] > 0]
        assert valid == (list(range(first, last + 1)) if part.c_sum else [])


@thorough
@given(histories(), any_params(), moments)
def test_single_value_is_the_one_of_highest_confidence(
    history: list[Observation], params: Params, t: int
) -> None:
    segments = canonical(history, params)
    expected = naive_history.value(segments, t, params)
    assert value_at(segments, t, params) == (expected and (expected[0], float(expected[1])))


@thorough
@given(histories(), any_params(), moments)
def test_multiple_values_are_those_with_any_confidence_in_order_of_first_appearance(
    history: list[Observation], params: Params, t: int
) -> None:
    segments = canonical(history, params)
    expected = naive_history.values(segments, t, params)
    assert values_at(segments, t, params) == [(v, float(c)) for v, c in expected]


def test_no_history_has_no_value() -> None:
    assert value_at([], 0, Params()) is None
    assert values_at([], 0, Params()) == []


def test_an_observation_without_confidence_gives_no_value() -> None:
    history = [segment(0, 10, c=0)]
    assert value_at(history, 5, Params()) is None
    assert values_at(history, 5, Params()) == []


@pytest.mark.parametrize(
    ("t", "confidence"), [(6, None), (7, 0.25), (9, 0.75), (10, 1.0), (20, 1.0), (21, 0.5), (22, None)]
)
def test_confidence_rises_before_and_falls_after_a_segment(t: int, confidence: float | None) -> None:
    current = value_at([segment(10, 20)], t, Params(pre=4, post=2))
    assert (current and current.confidence) == confidence


@pytest.mark.parametrize(
    ("loser", "winner"),
    [
        (segment(0, 30), segment(1, 20)),
        (segment(1, 20), segment(1, 30)),
        (segment(1, 20, b"A"), segment(1, 20, b"B")),
    ],
    ids=["later t1", "later t2", "greater value"],
)
def test_of_equal_confidences_wins(loser: Segment, winner: Segment) -> None:
    assert winner_at([loser, winner], 10, Params()) is winner


def test_confidences_are_compared_beyond_the_precision_of_floats() -> None:
    higher = segment(0, 10, b"A", c=UNIT * 10**9 - 1, n=10**9)
    lower = segment(0, 10, b"B", c=UNIT * 10**9 - 2, n=10**9)
    assert value_at([higher, lower], 5, Params()) == (b"A", value_at([lower], 5, Params()).confidence)  # type: ignore[union-attr]


@thorough
@given(st.integers(1, UNIT), st.integers(1, 10**6), st.integers(1, 10**15), st.data())
def test_rendered_confidence_is_the_nearest_float(c: int, n: int, pre: int, data: st.DataObject) -> None:
    left = data.draw(st.integers(1, pre))
    [current] = values_at([segment(pre, pre, c=c, n=n)], left, Params(pre=pre))
    assert current.confidence == float(Fraction(c, n * UNIT) * Fraction(left, pre))


def test_values_are_in_the_order_in_which_what_holds_began() -> None:
    history = [segment(0, 1, b"B"), segment(5, 9, b"A"), segment(7, 9, b"B")]
    assert [current.v for current in values_at(history, 8, Params(multi_value=True))] == [b"A", b"B"]
