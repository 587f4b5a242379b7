"""What is judged of packed rows, and of what is not packed: against a naive model, with dense histories."""

from collections import Counter

from hypothesis import example, given, settings
from hypothesis import strategies as st
from naive_retention import as_segment, naive_kept, points_in

from dp3.engine.jobs.history import packed_rows
from dp3.history import Params, unite
from dp3.history.retention import KeepRule
from dp3.store.ports.retention import StoredRow
from kit.history import Observation, Segment, canonical, value_at, values_at

NOW = 100

times = st.integers(0, 20)
points = st.builds(
    lambda t1, length, c, v: Observation(t1, t1 + length, c, v),
    times,
    st.integers(0, 8),
    st.sampled_from([1, 250_000_000, 1_000_000_000]),
    st.sampled_from([b"A", b"B", b"C"]),
)
crowded = st.builds(
    lambda t1, length, v: Observation(t1, t1 + length, 1, v),
    st.integers(0, 5),
    st.sampled_from([0, 0, 0, 1, 7]),
    st.sampled_from([b"A", b"B"]),
)
"""Many of them begin at the same moment as one of another value."""

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
    max_age=st.one_of(st.none(), st.integers(NOW - 25, NOW), st.integers(NOW - 8, NOW)),
    max_items=st.one_of(st.none(), st.integers(1, 4)),
)


@st.composite
def histories(draw):
    """Data-points in rows of one value each, and others that are not packed."""
    one = draw(st.sampled_from([points, crowded]))
    packed, fresh = draw(st.lists(one, max_size=14)), draw(st.lists(one, max_size=2))
    rows = {}
    for point in packed:
        rows.setdefault((point.v, draw(st.integers(0, 1))), []).append(point)
    return rows, fresh


def stored(rows, aggregate):
    """Data-points in rows as packing makes them."""
    return as_rows({at: [(p.t1, p.t2, p.c, 1) for p in found] for at, found in rows.items()}, aggregate)


def as_rows(rows, aggregate):
    """Segments by value and part."""
    made = []
    for number, ((v, part), found) in enumerate(rows.items()):
        segments = packed_as_one(found) if aggregate else sorted(found)
        oldest = min(segment[1] for segment in segments)
        made.append(StoredRow((1, 1, number, part), oldest, v, segments))
    return made


def packed_as_one(found):
    return [(s.t1, s.t2, s.c_sum, s.n) for s in unite((t1, t2, c, b"", n) for t1, t2, c, n in found)]


def judge(rows, fresh, rule, now):
    """With segments of the model."""
    found = [(s.t1, s.t2, s.c_sum, s.v, s.n) for s in fresh]
    verdict = packed_rows.judge(rows, found, rule, rule.limit(now), now)
    return verdict._replace(gone=[Segment(s.t1, s.t2, s.c_sum, s.n, s.v) for s in verdict.gone])


def left_of(verdict, fresh):
    packed = [Segment(t1, t2, c, n, j.row.v) for j in verdict.rows for t1, t2, c, n in j.segments]
    return [*packed, *map(as_segment, fresh)]


def current(parts, rule):
    shown = canonical(parts, rule.params)
    if rule.params.multi_value:
        return sorted(values_at(shown, NOW, rule.params))
    return value_at(shown, NOW, rule.params)


def seen(v, *times):
    return {(v, 0): [Observation(t1, t2, 1, v) for t1, t2 in times]}


@given(histories(), rules)
@settings(max_examples=1_500, deadline=None)
@example((seen(b"A", (0, 10), (11, 12)) | seen(b"B", (0, 0), (2, 2)), []), KeepRule(Params(post=2), NOW - 5))
@example(
    (seen(b"A", (0, 0), (2, 2), (4, 9)) | seen(b"B", (0, 0), (2, 9)), []), KeepRule(Params(post=2), NOW - 5)
)
def test_what_is_left_is_shown_as_before_and_is_all_that_the_rule_keeps(history, rule):
    rows, fresh = history
    everything = [*(p for found in rows.values() for p in found), *fresh]
    verdict = judge(stored(rows, rule.params.aggregate), map(as_segment, fresh), rule, NOW)
    before, after = (canonical(parts, rule.params) for parts in (everything, left_of(verdict, fresh)))
    wanted = naive_kept(everything, rule, rule.limit(NOW))
    assert Counter(after) + Counter(verdict.gone) == Counter(before)
    if not fresh:
        assert after == wanted
    elif rule.max_items is None:
        assert Counter(wanted) <= Counter(after)
    if current(everything, rule) != current(left_of(verdict, fresh), rule):
        assert verdict.dirty


@given(histories(), rules)
@settings(max_examples=500, deadline=None)
def test_nothing_is_looked_at_again_before_anything_can_go(history, rule):
    """As long as nothing comes: until the first row is due there is nothing to remove, and then there is."""
    rows, fresh = history
    verdict = judge(stored(rows, rule.params.aggregate), map(as_segment, fresh), rule, NOW)
    left = [judged for judged in verdict.rows if judged.segments]
    if rule.max_age is None or not left:
        return
    again = [StoredRow(j.row.place, j.oldest, j.row.v, j.segments) for j in left]
    due = min(row.oldest for row in again)
    last = judge(again, map(as_segment, fresh), rule, due + rule.max_age)
    assert not last.gone
    if not fresh:
        assert due >= rule.limit(NOW)
        assert judge(again, (), rule, due + rule.max_age + 1).gone


@given(histories(), rules)
@settings(max_examples=500, deadline=None)
def test_judging_twice_is_judging_once(history, rule):
    rows, _ = history
    once = judge(stored(rows, rule.params.aggregate), (), rule, NOW)
    again = [StoredRow(j.row.place, j.oldest, j.row.v, j.segments) for j in once.rows if j.segments]
    twice = judge(again, (), rule, NOW)
    assert not twice.gone
    assert [judged.oldest for judged in twice.rows] == [row.oldest for row in again]
    assert not any(judged.changed for judged in twice.rows)


@given(histories(), rules)
@settings(max_examples=1_000, deadline=None)
def test_old_parts_of_what_stays_become_few_and_no_other_part_changes(history, rule):
    """One of each segment, if it does not depend on other values what is joined. Otherwise these may cut it,
    but not more often than there are others, and parts that are not old."""
    rows, fresh = history
    packed = stored(rows, rule.params.aggregate)
    verdict = judge(packed, map(as_segment, fresh), rule, NOW)
    limit = rule.limit(NOW)
    before = Counter((row.v, segment) for row in packed for segment in row.segments)
    after = Counter((judged.row.v, segment) for judged in verdict.rows for segment in judged.segments)
    assert all((v, (t1, t2, c, n)) in before or t2 < limit for v, (t1, t2, c, n) in after)
    shown = canonical(left_of(verdict, fresh), rule.params)
    if not rule.params.aggregate:
        assert after <= before
        return
    inside = [
        next(at for at, s in enumerate(shown) if s.v == v and s.t1 <= segment[0] and segment[1] <= s.t2)
        for v, segment in after.elements()
        if segment[1] < limit
    ]
    if rule.params.multi_value or not rule.params.pre + rule.params.post:
        assert max(Counter(inside).values(), default=1) == 1
    else:
        others = sum(t2 >= limit for _, (_, t2, _, _) in after.elements()) + len(fresh)
        assert max(Counter(inside).values(), default=0) <= 2 * len(shown) + others


POST = Params(post=2)


def obs(t1, t2, v):
    return Observation(t1, t2, 1, v)


def life_of(one):
    return st.lists(st.tuples(st.lists(one, max_size=8), st.integers(0, 8)), min_size=2, max_size=8)


@given(st.one_of(life_of(points), life_of(crowded)), params)
@example(
    [([obs(0, 1, b"A"), obs(0, 2, b"C"), obs(1, 1, b"A"), obs(1, 1, b"B")], 1), ([obs(2, 2, b"C")], 1)], POST
)
@settings(max_examples=1_500, deadline=None)
def test_nobody_sees_what_was_joined_unless_data_comes_that_begins_before_the_limit(life, params):
    """The model joins nothing. Rows hold two segments; some of what comes lies on what is there already."""
    rule, rows, sent, limit = KeepRule(params, max_age=NOW), {}, [], 0
    for found, passed in life:
        for p in found:
            point = p._replace(t1=limit + p.t1, t2=limit + p.t2)
            sent.append(point)
            rows.setdefault((p.v, len(sent) // 2), []).append((point.t1, point.t2, p.c, 1))
        limit += passed
        verdict = judge(as_rows(rows, params.aggregate), (), rule, limit + NOW)
        wanted = naive_kept(sent, rule, limit)
        assert canonical(left_of(verdict, ()), params) == wanted
        sent = points_in(sent, wanted, params)
        rows = {(j.row.v, j.row.place[-1]): j.segments for j in verdict.rows if j.segments}
