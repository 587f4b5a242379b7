"""Current values: exactly those of the history algebra, and the exact moment of their next change."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dp3.engine.jobs.snapshots.doc import decode_doc, encode_doc, expand
from dp3.engine.jobs.snapshots.values import NO_PROFILE, AttrPlan, Computed, ValuePlan, compute
from dp3.history import Params, segments_of
from dp3.model.wire import CONFIDENCE_UNIT, decode_value, encode_value
from dp3.store.sql.entities import Entities
from kit.history import Observation, Segment, canonical, value_at, values_at
from kit.specs import a_model, plain_attr, series_attr
from kit.values import a_profile, a_value_plan, brief, seen

LAST_TICK = 40

thorough = settings(max_examples=300, deadline=None)
ticks = st.integers(0, LAST_TICK)
confidences = st.sampled_from([0, 1, CONFIDENCE_UNIT // 3, CONFIDENCE_UNIT // 2, CONFIDENCE_UNIT])
params = st.builds(Params, st.integers(0, 9), st.integers(0, 9), st.booleans(), st.booleans())
observations = st.builds(
    lambda t1, length, c, v: Observation(t1, t1 + length, c, encode_value(v)),
    st.integers(3, 25),
    st.integers(0, 8),
    confidences,
    st.sampled_from(["A", "B", "C"]),
)
histories = st.lists(observations, max_size=8)


def computed(history: list[Observation], how: Params, t: int) -> Computed:
    plan = ValuePlan("a", False, (AttrPlan("o", 1, how),), Entities.decode_value, Entities.encode_value)
    return compute("e", a_profile(history={1: history}), plan, t)


def by_history(history: list[Observation], how: Params, t: int) -> dict[str, Any]:
    """The snapshot as the history algebra tells it."""
    segments = canonical(history, how)
    if how.multi_value:
        current = values_at(segments, t, how)
        found = {"o": [decode_value(one.v) for one in current], "o#c": [one.confidence for one in current]}
        return {"eid": "e"} | (found if current else {})
    winner = value_at(segments, t, how)
    return {"eid": "e"} | ({} if winner is None else {"o": decode_value(winner.v), "o#c": winner.confidence})


@thorough
@given(histories, params)
def test_one_pass_gives_the_canonical_form(history: list[Observation], how: Params) -> None:
    [(_, rows)] = a_profile(history={1: history}).observed
    segments = [Segment(s.t1, s.t2, s.c_sum, s.n, bytes.fromhex(s.v)) for s in segments_of(rows, how)]
    assert segments == canonical(history, how)


@thorough
@given(histories, params, ticks)
def test_a_stored_snapshot_shows_what_the_history_says(
    history: list[Observation], how: Params, t: int
) -> None:
    stored = encode_doc(computed(history, how, t).doc)
    assert expand(decode_doc(stored), t) == by_history(history, how, t)


@thorough
@given(histories, params, ticks)
def test_a_stored_snapshot_holds_until_the_next_change(
    history: list[Observation], how: Params, t: int
) -> None:
    now = computed(history, how, t)
    stored = encode_doc(now.doc)
    for later in range(t + 1, LAST_TICK + 5 if now.next_change is None else now.next_change):
        assert encode_doc(computed(history, how, later).doc) == stored
        assert expand(decode_doc(stored), later) == by_history(history, how, later)


@thorough
@given(histories, params, ticks)
def test_something_is_different_at_the_next_change(history: list[Observation], how: Params, t: int) -> None:
    now = computed(history, how, t)
    if now.next_change is not None:
        assert now.next_change > t
        assert computed(history, how, now.next_change).doc != now.doc


@thorough
@given(histories, st.randoms(use_true_random=False), params, ticks)
def test_the_order_of_rows_does_not_matter(
    history: list[Observation], random: Any, how: Params, t: int
) -> None:
    shuffled = random.sample(history, len(history))
    assert computed(shuffled, how, t) == computed(history, how, t)


def test_another_segment_of_the_same_value_is_a_change() -> None:
    how = Params(pre=0, post=10, aggregate=False)
    weak, strong = seen(0, 100, "A", c=0.5), seen(50, 60, "A", c=1.0)
    before = computed([weak, strong], how, 20)
    assert before.next_change == 50
    assert before.values == computed([weak, strong], how, 50).values
    assert before.terms != computed([weak, strong], how, 50).terms


def test_the_earliest_change_of_all_attributes_counts() -> None:
    plan = ValuePlan(
        "a",
        False,
        (AttrPlan("o", 1, Params()), AttrPlan("p", 2, Params())),
        Entities.decode_value,
        Entities.encode_value,
    )
    profile = a_profile(history={1: [seen(0, 20, 1)], 2: [seen(0, 15, 1)]})
    assert compute("e", profile, plan, 10).next_change == 16


def test_values_are_in_the_order_of_the_model_after_the_id() -> None:
    model = a_model({"s": plain_attr("string"), "o": brief("int"), "p": plain_attr("int")})
    profile = a_profile(plain={3: 1, 1: "x"}, history={2: [seen(0, 9, 5)]})
    values = compute("e", profile, a_value_plan(model), 5).values
    assert list(values.items()) == [("eid", "e"), ("s", "x"), ("o", 5), ("p", 1)]


def test_timeseries_have_no_current_value() -> None:
    model = a_model({"t": series_attr(), "o": brief("int")})
    profile = a_profile(history={2: [seen(0, 9, 5)]})
    profile.chunks.append((1, 0, 9, Entities.encode_value({"x": [1]})))
    assert compute("e", profile, a_value_plan(model), 5).values == {"eid": "e", "o": 5}


def test_rows_of_attributes_that_left_the_model_are_not_shown() -> None:
    profile = a_profile(plain={8: 1}, history={9: [seen(0, 9, 5)]})
    assert compute("e", profile, a_value_plan(a_model({"p": plain_attr("int")})), 5).values == {"eid": "e"}


def test_mirrors_are_there_even_when_nothing_refers_to_the_entity() -> None:
    model = a_model({"l": plain_attr("link<b;mirror=as>")})
    plan = a_value_plan(model, "b")
    assert compute(7, NO_PROFILE, plan, 0).values == {"eid": 7, "as": []}
    given = {"as": [{"eid": "e1"}]}
    assert compute(7, NO_PROFILE, plan, 0, given).values == {"eid": 7, "as": [{"eid": "e1"}]}


def test_ids_of_the_state_become_typed() -> None:
    model = a_model({})
    assert (a_value_plan(model, "b").eid("12"), a_value_plan(model, "ip").eid("1.2.3.4")) == (12, "1.2.3.4")


def test_an_entity_without_observations_never_changes_by_itself() -> None:
    model = a_model({"p": plain_attr("int")})
    assert compute("e", a_profile(plain={1: 1}), a_value_plan(model), 0).next_change is None
