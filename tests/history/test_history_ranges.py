"""A part of a history is what it is in the whole, however little is read for it."""

from collections.abc import Sequence

from history_strategies import any_params, confidences, thorough
from hypothesis import given
from hypothesis import strategies as st

from dp3.history import Params, overlapping, segments_of
from dp3.history.ranges import newest_between, segments_between
from dp3.history.scan import Scan, advanced, empty_scan
from dp3.history.segments import SegmentRow

Rows = list[SegmentRow[str]]

TICKS = 40


@st.composite
def _row(draw: st.DrawFn, first: int = 0) -> SegmentRow[str]:
    t1 = draw(st.integers(first, TICKS))
    length = draw(st.sampled_from([0, 0, 1, 3, 8]))
    return t1, t1 + length, draw(confidences), draw(st.sampled_from("ABC")), 1


packed_rows = st.lists(_row(), max_size=14)
fresh_rows = st.one_of(st.just([]), st.lists(_row(first=35), max_size=2), st.lists(_row(), max_size=2))
former_moments = st.sets(st.integers(0, TICKS + 5), max_size=5).map(sorted)
recent_moment = st.one_of(st.none(), st.integers(10, TICKS + 5))
ranges = st.tuples(st.integers(-5, TICKS + 10), st.sampled_from([0, 1, 5, 20]))


class Source:
    """A history of which it is noted what was read."""

    def __init__(
        self, rows: Rows, fresh: Rows, params: Params, former: list[int], recent: int | None
    ) -> None:
        self.params = params
        self.fresh: Sequence[SegmentRow[str]] = fresh
        self.rows_read = 0
        self._rows = sorted(rows)
        self._scans: dict[int, Scan[str]] = {}
        scan: Scan[str] = empty_scan(params)
        for at in former:
            scan = advanced(scan, self._since(scan.at, at), at)
            self._scans[at] = scan
        self._recent = None if recent is None else max(recent, *former, 0)
        if self._recent is not None:
            self._scans[self._recent] = advanced(scan, self._since(scan.at, 1 << 60), self._recent)
            if self._recent in former:
                base: Scan[str] = empty_scan(params)
                self._scans[self._recent] = advanced(base, self._rows, self._recent)
        self.recent = None if self._recent is None else self._scans[self._recent]
        self.moments_asked = 0

    @property
    def moments(self) -> list[int]:
        self.moments_asked += 1
        return sorted(self._scans)

    def _since(self, first: int, end: int) -> Rows:
        return [row for row in self._rows if first <= row[0] < end]

    def scan(self, moment: int) -> Scan[str]:
        return self._scans[moment]

    def packed(self, since: Scan[str], until: int) -> Rows:
        found = [] if since.at == self._recent else self._since(since.at, until + 1)
        self.rows_read += len(found)
        return found


@thorough
@given(packed_rows, fresh_rows, any_params(), former_moments, recent_moment, ranges, st.integers(1, 4))
def test_a_range_has_the_segments_that_the_whole_history_has_there(
    rows: Rows,
    fresh: Rows,
    params: Params,
    former: list[int],
    recent: int | None,
    span: tuple[int, int],
    limit: int,
) -> None:
    first, last = span[0], sum(span)
    source = Source(rows, fresh, params, former, recent)
    whole = segments_of([*rows, *fresh], params)
    found = segments_between(source, first, last)
    valid = [one.row for one in whole if one.t2 + params.post >= first and one.t1 - params.pre <= last]
    seen = [one.row for one in found if one.c_sum or one.t2 >= first]
    assert seen == [row for row in valid if row[2] or row[1] >= first]
    newest = [one.row for one in overlapping(whole, first, last)][::-1]
    expected = newest if len(newest) <= limit else [row for row in newest if row[0] >= newest[limit - 1][0]]
    assert [one.row for one in newest_between(source, first, last, limit)] == expected


def test_a_short_range_of_a_long_history_reads_few_rows() -> None:
    params = Params(post=1)
    rows: Rows = [(at, at, 1, "AB"[at % 2], 1) for at in range(0, 10_000, 5)]
    source = Source(rows, [], params, list(range(500, 10_000, 500)), 9_990)
    assert [one.t1 for one in segments_between(source, 5_000, 5_050)] == list(range(5_000, 5_051, 5))
    assert source.rows_read <= 110
    source.rows_read = 0
    assert [one.t1 for one in newest_between(source, 0, 9_999, 3)] == [9_995, 9_990, 9_985]
    assert source.rows_read <= 200


def test_a_segment_that_goes_on_for_ever_is_followed_by_scans() -> None:
    params = Params(post=10)
    rows: Rows = [(at, at, 1, "A", 1) for at in range(0, 10_000, 5)]
    source = Source(rows, [], params, list(range(500, 10_000, 500)), 9_990)
    (found,) = segments_between(source, 5_000, 5_000)
    assert found.row == (0, 9_995, 2_000, "A", 2_000)
    assert source.rows_read <= 110


def test_what_the_latest_scan_tells_needs_no_others() -> None:
    """Of a history of years there are thousands."""
    rows: Rows = [(at, at, 1, "AB"[at % 2], 1) for at in range(0, 10_000, 5)]
    source = Source(rows, [(9_999, 9_999, 1, "A", 1)], Params(post=1), [*range(500, 9_500, 500)], 9_900)
    assert [one.t1 for one in segments_between(source, 9_950, 9_999)][-1] == 9_999
    assert [one.t1 for one in newest_between(source, 0, 9_999, 3)] == [9_999, 9_995, 9_990]
    assert (source.moments_asked, source.rows_read) == (0, 0)
