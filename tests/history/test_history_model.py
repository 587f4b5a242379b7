"""The product's one pass, against the model that takes each step by itself."""

import product
from history_strategies import any_params, histories, thorough
from hypothesis import given
from hypothesis import strategies as st

from dp3.history import Params, segments_of, winner_at, winner_until, winners_at, winners_until
from kit import history as model
from kit.history import Observation, Segment

times = st.integers(-10, 55)
some_histories = st.one_of(histories(), histories(ticks=12, longest=4), histories(ticks=5, longest=3))
some_params = st.one_of(any_params(), any_params(longest=25))


@thorough
@given(some_histories, some_params)
def test_segments_are_those_of_the_model(history: list[Observation], params: Params) -> None:
    assert product.canonical(history, params) == model.canonical(history, params)
    assert product.unite(history) == model.unite(history)


@thorough
@given(some_histories, some_params)
def test_the_last_start_in_a_segment_is_that_of_its_last_united_part(
    history: list[Observation], params: Params
) -> None:
    parts = model.unite(history) if params.aggregate else model.canonical(history, params)
    for segment in segments_of(map(product.row_of, history), params):
        inside = [part.t1 for part in parts if part.v == segment.v and segment.t1 <= part.t1 <= segment.t2]
        assert segment.last_t1 == (max(inside) if params.aggregate else segment.t1)


@thorough
@given(some_histories, some_params, times)
def test_the_winner_is_that_of_the_model(history: list[Observation], params: Params, t: int) -> None:
    segments = segments_of(map(product.row_of, history), params)
    expected = list(map(product.theirs, segments))
    winner = winner_at(segments, t, params)
    assert (winner and product.theirs(winner)) == model.winner_at(expected, t, params)
    assert winner_until(segments, t, params)[0] is winner
    winners = map(product.theirs, winners_at(segments, t, params))
    shares = [(one.v, model.confidence_at(one, t, params)) for one in winners]
    assert [(v, above / below) for v, (above, below) in shares] == model.values_at(expected, t, params)


@thorough
@given(some_histories, some_params, times)
def test_the_next_winner_is_the_next_value_if_every_segment_is_a_value_of_its_own(
    history: list[Observation], params: Params, t: int
) -> None:
    segments = segments_of(map(product.row_of, history), params)
    assert winner_until(segments, t, params)[1] == _next_of(list(map(product.theirs, segments)), t, params)


@thorough
@given(some_histories, some_params, times)
def test_the_winners_change_when_the_first_of_them_does(
    history: list[Observation], params: Params, t: int
) -> None:
    segments = segments_of(map(product.row_of, history), params)
    changes = [
        _next_of([product.theirs(segment) for segment in segments if segment.v == v], t, params)
        for v in {segment.v for segment in segments}
    ]
    known = [change for change in changes if change is not None]
    winners, change = winners_until(segments, t, params)
    assert change == min(known, default=None)
    assert winners == winners_at(segments, t, params)


def _next_of(segments: list[Segment], t: int, params: Params) -> int | None:
    ranked = [one._replace(v=rank.to_bytes(4, "big")) for rank, one in enumerate(segments)]
    return model.next_change(ranked, t, Params(params.pre, params.post))


@thorough
@given(some_histories, some_params)
def test_values_are_only_compared(history: list[Observation], params: Params) -> None:
    as_text = [(t1, t2, c, v.hex().upper(), 1) for t1, t2, c, v in history]
    segments = [(s.t1, s.t2, s.c_sum, s.n, bytes.fromhex(s.v)) for s in segments_of(as_text, params)]
    assert segments == model.canonical(history, params)
