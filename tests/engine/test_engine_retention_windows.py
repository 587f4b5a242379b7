"""Only rows that matter for what is due are read, and the outcome is that of looking at everything."""

import tempfile
from collections import Counter, defaultdict
from contextlib import closing
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from naive_retention import naive_kept, points_in

from dp3.history import Params
from dp3.history.retention import KeepRule, depends_on_others
from kit.history import Observation, canonical
from kit.limits import small_retention_reads
from kit.packed import PackedHistory
from kit.rooms import examples

AGE = 1_000
"""Units that history is kept."""

UNITS = st.sampled_from([1, 1_500_000_000])
"""µs: everything within one step of age, or most of it in others."""

observations = st.builds(
    lambda entity, t1, length, v, c: (entity, t1, length, v, c),
    st.integers(1, 2),
    st.integers(0, 20),
    st.sampled_from([0, 0, 1, 2, 8, 25]),
    st.sampled_from([b"A", b"B", b"C"]),
    st.sampled_from([1, 250_000_000]),
)
passed = st.integers(0, 8)
lives = st.one_of(
    st.lists(st.tuples(st.lists(observations, max_size=8), passed), min_size=2, max_size=8),
    st.tuples(st.lists(observations, min_size=4, max_size=14), st.lists(passed, min_size=1, max_size=6)).map(
        lambda found: [(found[0][0::2], 0), (found[0][1::2], 0), *(([], after) for after in found[1])]
    ),
)
"""What comes before each pass, and how much later that is. With values that join across gaps only what does
not come between passes has one outcome: late values do not make others go at once that they have cut."""

shapes = st.tuples(
    st.sampled_from([0, 1, 3]), st.sampled_from([0, 2, 30, 2 * AGE]), st.booleans(), st.booleans()
)


@given(lives, shapes, UNITS, st.integers(1, 3), st.booleans())
@settings(max_examples=examples(250), deadline=None)
def test_whatever_was_looked_at_before_what_is_left_is_what_the_rule_keeps(life, shape, unit, row, small):
    pre, post, multi_value, aggregate = shape
    params = Params(pre * unit, post * unit, multi_value, aggregate)
    rule, limit, sent = KeepRule(params, max_age=AGE * unit), 0, defaultdict(list)
    cut = False
    with (
        tempfile.TemporaryDirectory() as directory,
        closing(PackedHistory(Path(directory), rule, row)) as history,
    ):
        for found, passed in life:
            points = [
                (entity, Observation(limit + t1 * unit, limit + (t1 + length) * unit, c, v))
                for entity, t1, length, v, c in found
            ]
            for entity, point in points:
                sent[entity].append(point)
            history.pack(points)
            cut |= bool(points) and limit > 0 and depends_on_others(params)
            limit += passed * unit
            clean(history, limit + rule.max_age, small)
            for entity in sent:
                sent[entity] = check(history, entity, sent[entity], limit, rule, cut)


def check(history, entity, points, limit, rule, cut):
    """What is shown is what the rule keeps, or more if others may have cut it; returns what it is made of."""
    shown, wanted = canonical(history.parts(entity), rule.params), naive_kept(points, rule, limit)
    if cut:
        assert Counter(wanted) <= Counter(shown) <= Counter(canonical(points, rule.params))
    else:
        assert shown == wanted
    for row in history.rows(entity):
        assert row.oldest >= limit
        assert row.begin <= min(t1 for t1, _, _, _ in row.segments)
    return points_in(points, shown, rule.params)


def clean(history, now, small):
    """Everything that there is to do is done at once."""
    if small:
        with small_retention_reads():
            history.clean(now)
            assert history.clean(now).rows == 0
    else:
        history.clean(now)
        assert history.clean(now).rows == 0
