"""What is judged of packed rows, and of what is not packed: against a naive model, with dense histories."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from naive_retention import as_shown, naive_kept

from dp3.engine.expiry import KeepRule, judge
from dp3.engine.packing import unite as packed_as_one
from dp3.history import Observation, Params, Segment, canonical, value_at, values_at
from dp3.store.retention import RowPlace, StoredRow

NOW = 100

times = st.integers(0, 20)
points = st.builds(
    lambda t1, length, c, v: Observation(t1, t1 + length, c, v),
    times,
    st.integers(0, 8),
    st.sampled_from([1, 250_000_000, 1_000_000_000]),
    st.sampled_from([b"A", b"B", b"C"]),
)
params = st.builds(
    Params,
    pre=st.sampled_from([0, 1, 3]),
    post=st.sampled_from([0, 2, 90]),
    multi_value=st.booleans(),
    aggregate=st.booleans(),
)
rules = st.builds(
    KeepRule,
    params=params,
    max_age=st.one_of(st.none(), st.integers(NOW - 25, NOW)),
    max_items=st.one_of(st.none(), st.integers(1, 4)),
)


@st.composite
def histories(draw):
    """Data-points in rows of one value each, and others that are not packed."""
    packed, fresh = draw(st.lists(points, max_size=14)), draw(st.lists(points, max_size=2))
    rows = {}
    for point in packed:
        rows.setdefault((point.v, draw(st.integers(0, 1))), []).append(point)
    return rows, fresh


def stored(rows, aggregate):
    """Rows as packing makes them."""
    made = []
    for number, ((v, part), found) in enumerate(rows.items()):
        stretches = sorted((p.t1, p.t2, p.c, 1) for p in found)
        stretches = packed_as_one(stretches) if aggregate else stretches
        oldest = min(stretch[1] for stretch in stretches)
        made.append(StoredRow(RowPlace(1, 1, number, part), oldest, v, stretches))
    return made


def left_of(verdict, fresh):
    packed = [Segment(t1, t2, c, n, j.row.v) for j in verdict.rows for t1, t2, c, n in j.stretches]
    return [*packed, *map(as_shown, fresh)]


def current(parts, rule):
    shown = canonical(parts, rule.params)
    read = values_at if rule.params.multi_value else value_at
    return read(shown, NOW, rule.params)


@given(histories(), rules)
@settings(max_examples=1_500, deadline=None)
def test_what_is_left_is_shown_as_before_and_is_all_that_the_rule_keeps(history, rule):
    rows, fresh = history
    everything = [*(p for found in rows.values() for p in found), *fresh]
    verdict = judge(stored(rows, rule.params.aggregate), map(as_shown, fresh), rule, NOW)
    before, after = (canonical(parts, rule.params) for parts in (everything, left_of(verdict, fresh)))
    wanted = naive_kept(everything, rule, rule.limit(NOW))
    assert Counter(after) + Counter(verdict.gone) == Counter(before)
    if not fresh:
        assert after == wanted
    elif rule.max_items is None:
        assert Counter(wanted) <= Counter(after)
    if current(everything, rule) != current(left_of(verdict, fresh), rule):
        assert verdict.noticed


@given(histories(), rules)
@settings(max_examples=500, deadline=None)
def test_nothing_is_looked_at_again_before_anything_can_go(history, rule):
    """As long as nothing comes: until the first row is due there is nothing to remove, and then there is."""
    rows, fresh = history
    verdict = judge(stored(rows, rule.params.aggregate), map(as_shown, fresh), rule, NOW)
    left = [judged for judged in verdict.rows if judged.stretches]
    if rule.max_age is None or not left:
        return
    again = [StoredRow(j.row.place, j.oldest, j.row.v, j.stretches) for j in left]
    due = min(row.oldest for row in again)
    last = judge(again, map(as_shown, fresh), rule, due + rule.max_age)
    assert not last.gone
    if not fresh:
        assert due >= rule.limit(NOW)
        assert judge(again, (), rule, due + rule.max_age + 1).gone


@given(histories(), rules)
@settings(max_examples=500, deadline=None)
def test_judging_twice_is_judging_once(history, rule):
    rows, _ = history
    once = judge(stored(rows, rule.params.aggregate), (), rule, NOW)
    again = [StoredRow(j.row.place, j.oldest, j.row.v, j.stretches) for j in once.rows if j.stretches]
    twice = judge(again, (), rule, NOW)
    assert not twice.gone
    assert [judged.oldest for judged in twice.rows] == [row.oldest for row in again]
