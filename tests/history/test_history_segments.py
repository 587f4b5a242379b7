"""Rules of uniting, bridging and the canonical form."""

import naive_history
import pytest
from history_strategies import any_params, histories, thorough
from hypothesis import given
from hypothesis import strategies as st
from product import canonical, mean_confidence, unite

from dp3.history import Params, overlapping
from kit.history import Observation, Segment

UNIT = 1_000_000_000
SINGLE = Params()
MULTI = Params(multi_value=True)


def seen(t1: int, t2: int, v: str, c: float = 1.0) -> Observation:
    return Observation(t1, t2, round(c * UNIT), v.encode())


def shown(observations: list[Observation], params: Params) -> list[tuple[int, int, str]]:
    return [(s.t1, s.t2, s.v.decode()) for s in canonical(observations, params)]


@thorough
@given(histories(), any_params())
def test_canonical_form_is_what_the_definition_says(history: list[Observation], params: Params) -> None:
    assert canonical(history, params) == naive_history.canonical(history, params)


@thorough
@given(histories(), any_params(), st.randoms(use_true_random=False))
def test_order_of_arrival_does_not_matter(history: list[Observation], params: Params, random: object) -> None:
    shuffled = list(history)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert canonical(shuffled, params) == canonical(history, params)


@thorough
@given(st.lists(histories(), max_size=4), any_params(aggregate=st.just(True)))
def test_uniting_in_any_batches_beforehand_does_not_matter(
    batches: list[list[Observation]], params: Params
) -> None:
    everything = [observation for batch in batches for observation in batch]
    packed: list[Segment] = []
    for batch in batches:
        packed = unite([*packed, *batch])
    apart = [segment for batch in batches for segment in unite(batch)]
    assert packed == unite(everything)
    assert canonical(packed, params) == canonical(apart, params) == canonical(everything, params)


@thorough
@given(histories(), any_params())
def test_no_observation_and_no_confidence_gets_lost(history: list[Observation], params: Params) -> None:
    segments = canonical(history, params)
    assert sum(s.n for s in segments) == len(history)
    assert sum(s.c_sum for s in segments) == sum(o.c for o in history)


@thorough
@given(histories(), any_params(aggregate=st.just(False)))
def test_without_aggregation_every_observation_stands_alone(
    history: list[Observation], params: Params
) -> None:
    assert sorted(canonical(history, params)) == sorted(Segment(o.t1, o.t2, o.c, 1, o.v) for o in history)


def test_no_observations_give_no_segments() -> None:
    assert canonical([], SINGLE) == []


@pytest.mark.parametrize("params", [SINGLE, MULTI])
def test_touching_observations_of_one_value_unite(params: Params) -> None:
    assert shown([seen(0, 10, "A"), seen(10, 20, "A")], params) == [(0, 20, "A")]


@pytest.mark.parametrize("params", [SINGLE, MULTI])
def test_a_gap_that_validity_does_not_span_stays(params: Params) -> None:
    assert shown([seen(0, 10, "A"), seen(11, 20, "A")], params) == [(0, 10, "A"), (11, 20, "A")]


@pytest.mark.parametrize("params", [SINGLE, MULTI])
def test_overlapping_observations_unite_whatever_other_values_do_meanwhile(params: Params) -> None:
    history = [seen(0, 10, "A"), seen(2, 4, "B"), seen(5, 20, "A")]
    assert shown(history, params) == [(0, 20, "A"), (2, 4, "B")]


def test_an_observation_inside_another_does_not_shorten_it() -> None:
    assert shown([seen(0, 10, "A"), seen(2, 4, "A"), seen(9, 12, "A")], SINGLE) == [(0, 12, "A")]


@pytest.mark.parametrize(("pre", "post"), [(5, 0), (0, 5), (2, 3)])
def test_a_gap_exactly_as_long_as_both_validities_is_bridged(pre: int, post: int) -> None:
    params = Params(pre, post)
    assert shown([seen(0, 10, "A"), seen(15, 20, "A")], params) == [(0, 20, "A")]
    assert shown([seen(0, 10, "A"), seen(16, 20, "A")], params) == [(0, 10, "A"), (16, 20, "A")]


def test_another_value_that_starts_in_between_keeps_a_gap_of_a_single_valued_attribute_open() -> None:
    history = [seen(0, 10, "A"), seen(12, 13, "B"), seen(15, 20, "A")]
    assert shown(history, Params(post=5)) == [(0, 10, "A"), (12, 13, "B"), (15, 20, "A")]
    assert shown(history, Params(post=5, multi_value=True)) == [(0, 20, "A"), (12, 13, "B")]


@pytest.mark.parametrize("start", [0, 15])
def test_another_value_that_starts_together_with_a_neighbour_does_not_separate(start: int) -> None:
    history = [seen(0, 10, "A"), seen(start, 17, "B"), seen(15, 20, "A")]
    assert (0, 20, "A") in shown(history, Params(post=5))


def test_bridging_is_decided_for_each_pair_of_neighbours() -> None:
    history = [seen(0, 1, "A"), seen(5, 6, "A"), seen(5, 7, "B"), seen(10, 11, "A")]
    assert shown(history, Params(post=5)) == [(0, 11, "A"), (5, 7, "B")]


def test_a_value_that_arrives_late_takes_a_bridge_away() -> None:
    params = Params(post=5)
    packed = unite([seen(0, 10, "A"), seen(15, 20, "A")])
    assert len(canonical(packed, params)) == 1
    assert len(canonical([*packed, seen(12, 13, "B")], params)) == 3


def test_mean_confidence_is_that_of_all_observations_however_grouped() -> None:
    first = unite([seen(0, 10, "A", 0.2), seen(10, 20, "A", 0.2)])
    [both] = unite([*first, seen(20, 30, "A", 0.8)])
    [three] = unite([seen(0, 10, "A", 0.5), seen(5, 20, "A", 1.0), seen(20, 30, "A", 0.6)])
    assert (mean_confidence(both), mean_confidence(three)) == (0.4, 0.7)


def test_overlapping_includes_both_bounds() -> None:
    segments = canonical([seen(0, 10, "A"), seen(20, 30, "B"), seen(40, 50, "C")], SINGLE)
    assert overlapping(segments, 10, 20) == segments[:2]
    assert overlapping(segments, 11, 19) == []
    assert overlapping(segments, 25, 26) == segments[1:2]


@pytest.mark.parametrize(("pre", "post"), [(-1, 0), (0, -1)])
def test_negative_validity_is_refused(pre: int, post: int) -> None:
    with pytest.raises(ValueError, match=f"got pre={pre}, post={post}"):
        Params(pre, post)
