"""Packed rows hold what was packed, whatever the portions in which it came."""

from hypothesis import given, settings
from hypothesis import strategies as st

from dp3.engine.jobs.history.packed_rows import packed_with
from dp3.history.segments import PackedSegment, decode_segments
from dp3.store.ports.history import PackedRow, Subject
from kit.history import Segment, unite

SUBJECT = (1, 2, 3)
UNITED = frozenset([2])

observations = st.builds(
    lambda t1, length, c: (t1, t1 + length, c, 1),
    st.integers(0, 30),
    st.integers(0, 6),
    st.sampled_from([1, 250_000_000, 1_000_000_000]),
)
portions = st.lists(st.lists(observations, min_size=1, max_size=5), min_size=1, max_size=6)


def packed(portions: list[list[PackedSegment]], united: frozenset[int], most: int = 64) -> list[PackedRow]:
    """All rows, as they are after every portion was added to the last one."""
    rows: dict[int, PackedRow] = {}
    for portion in portions:
        last: dict[Subject, PackedRow] = {SUBJECT: rows[max(rows)]} if rows else {}
        found = packed_with({SUBJECT: [(b"A", portion)]}, last, united, most)
        rows |= {row.part: row for row in found.rows}
    return list(rows.values())


def segments_in(rows: list[PackedRow]) -> list[PackedSegment]:
    return [segment for row in rows for segment in decode_segments(row.segments)]


@given(portions)
@settings(max_examples=300, deadline=None)
def test_what_touches_is_one_segment_in_whichever_portions_it_came(
    portions: list[list[PackedSegment]],
) -> None:
    everything = [Segment(t1, t2, c or 0, n, b"A") for portion in portions for t1, t2, c, n in portion]
    assert segments_in(packed(portions, UNITED)) == [(s.t1, s.t2, s.c_sum, s.n) for s in unite(everything)]


@given(portions)
@settings(max_examples=300, deadline=None)
def test_what_is_not_united_stays_as_it_came_in_the_order_of_time(
    portions: list[list[PackedSegment]],
) -> None:
    everything = [segment for portion in portions for segment in portion]
    found = segments_in(packed(portions, frozenset()))
    assert sorted(found) == sorted(everything)
    assert [segment[:2] for segment in found] == sorted(segment[:2] for segment in everything)


@given(portions, st.integers(1, 3))
@settings(max_examples=300, deadline=None)
def test_rows_are_not_longer_than_the_most_and_tell_what_they_hold(
    portions: list[list[PackedSegment]], most: int
) -> None:
    for row in packed(portions, UNITED, most):
        held = segments_in([row])
        assert len(held) <= most
        assert row.points == sum(n for _, _, _, n in held)
        assert row.oldest <= min(t2 for _, t2, _, _ in held)


def test_data_points_of_timeseries_are_never_united() -> None:
    portions: list[list[PackedSegment]] = [[(0, 9, None, 1), (5, 9, None, 1)], [(7, 8, None, 1)]]
    assert segments_in(packed(portions, UNITED)) == [*portions[0], *portions[1]]


def test_another_value_of_the_same_tag_gets_a_row_of_its_own() -> None:
    first, second = packed_with(
        {SUBJECT: [(b"A", [(5, 9, 1, 1)]), (b"B", [(3, 4, 1, 1), (0, 1, 1, 1)])]}, {}, UNITED
    ).rows
    assert (first.v, first.part, second.v, second.part) == (b"A", 0, b"B", 1)
    assert list(decode_segments(second.segments)) == [(0, 1, 1, 1), (3, 4, 1, 1)]


def test_where_segments_that_were_there_may_have_become_longer_is_told() -> None:
    (row,) = packed([[(0, 1, 1, 1), (5, 9, 1, 1)]], UNITED)
    last: dict[Subject, PackedRow] = {SUBJECT: row}
    assert packed_with({SUBJECT: [(b"A", [(10, 11, 1, 1)])]}, last, UNITED).longer == {}
    assert packed_with({SUBJECT: [(b"A", [(9, 11, 1, 1)])]}, last, UNITED).longer == {SUBJECT[:2]: 5}
    assert packed_with({SUBJECT: [(b"A", [(9, 11, 1, 1)])]}, last, frozenset()).longer == {}
