"""A part of a history, without reading the rest: the segments that are valid at some time of a range, as the
whole history has them.

A `Scan` at the begin tells what reaches into the range, the rows that begin in it tell the most, and what
reaches out of it is followed to its end by later scans. A segment is in every scan from its begin until no
row can join it any more, so the last one that has it is found by bisection.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from dp3.clock import LAST_US
from dp3.history.scan import ENDED, Scan, advanced, empty_scan, segments_since
from dp3.history.segments import Params, Segment, SegmentRow

T = TypeVar("T")


class HistorySource(Protocol):
    """The stored history of one attribute of an entity, all at one time."""

    @property
    def params(self) -> Params:
        """The parameters with which the history is read."""
        ...

    @property
    def fresh(self) -> Sequence[SegmentRow[str]]:
        """Rows that no scan knows."""
        ...

    @property
    def recent(self) -> Scan[str] | None:
        """The latest scan, which knows all rows but `fresh`, if it was made with the parameters."""
        ...

    @property
    def moments(self) -> Sequence[int]:
        """Those of all scans that were made with the parameters, ascending: many of a long history, so they
        are asked for only where `recent` does not tell."""
        ...

    def scan(self, moment: int) -> Scan[str]:
        """The scan at one of the moments."""
        ...

    def packed(self, since: Scan[str], until: int) -> list[SegmentRow[str]]:
        """The rows that begin at the moment of a scan or later, until a time (µs), as far as neither the scan
        nor `fresh` has them."""
        ...


def segments_between(source: HistorySource, first: int, last: int) -> list[Segment[str]]:
    """All segments, in canonical order, that are valid at some time from `first` to `last` (µs)."""
    found = _Range(source, first, last).segments()
    before, after = source.params.pre, source.params.post
    return sorted([one for one in found if one.t2 + after >= first and one.t1 - before <= last])


def newest_between(source: HistorySource, first: int, last: int, limit: int) -> list[Segment[str]]:
    """Those that share a time (µs) with the range, newest first: `limit` of them, or some more that begin
    together with the last one."""
    found: list[Segment[str]] = []
    for since in _ever_earlier(source, first, last):
        shown = (one for one in segments_between(source, since, last) if one.t2 >= first and one.t1 <= last)
        found = [one for one in shown if one.t1 >= since or since == first]
        if len(found) >= limit:
            break
    return newest_first(found, limit, lambda one: one.t1)


def newest_first(found: Sequence[T], limit: int, begin: Callable[[T], Any]) -> list[T]:
    """The last ones in reverse order: `limit` of them, or some more that begin together with the last one."""
    newest = [*reversed(found)]
    if len(newest) <= limit:
        return newest
    least = begin(newest[limit - 1])
    return [one for one in newest if begin(one) >= least]


def _ever_earlier(source: HistorySource, first: int, last: int) -> Iterator[int]:
    """Moments of scans within a range from which it is read, twice as many back each time; then its begin."""
    recent, back = source.recent, 1
    if recent is not None and first < recent.at <= last:
        yield recent.at
        back = 2
    moments = [at for at in source.moments if first < at <= last]
    while back <= len(moments):
        yield moments[-back]
        back *= 2
    yield first


def scan_before(source: HistorySource, moment: int) -> tuple[Scan[str], int]:
    """The last scan, at a moment or before, that with the rows that begin later tells everything; and the
    first begin of a fresh row: scans at later moments do not know it."""
    known = min((row[0] for row in source.fresh), default=LAST_US)
    latest, recent = min(moment, known), source.recent
    if recent is not None and recent.at <= latest:
        return recent, known
    moments = source.moments
    place = bisect_right(moments, latest)
    return source.scan(moments[place - 1]) if place else empty_scan(source.params), known


class _Range:
    """The reading of one range. Scans at moments at which a fresh row has begun tell nothing. `_ends` are the
    segments that go on after the range, by how many of the later scans have them."""

    def __init__(self, source: HistorySource, first: int, last: int) -> None:
        self._source: HistorySource = source
        self._end = last + source.params.pre
        self._first, known = scan_before(source, first)
        is_recent = source.recent is not None and self._first.at == source.recent.at
        self._later = [] if is_recent else [at for at in source.moments if self._end < at <= known]
        self._scans: dict[int, Scan[str]] = {}
        self._ends: dict[int, dict[tuple[str, int], Segment[str]]] = {}

    def segments(self) -> list[Segment[str]]:
        """All that is valid in the range, and some more."""
        if not self._later:
            return segments_since(self._first, self._rows(self._first, LAST_US))
        rows = self._rows(self._first, self._end)
        segments = segments_since(self._first, rows)
        if self._source.params.aggregate:
            passed = advanced(self._first, rows, self._end + 1)
            going_on = {(v, passed.at - before) for v, before, *_, kind in passed.parts if kind != ENDED}
            segments = [self._whole(one, passed) if (one.v, one.t1) in going_on else one for one in segments]
        return segments

    def _rows(self, since: Scan[str], until: int) -> list[SegmentRow[str]]:
        fresh = [row for row in self._source.fresh if row[0] <= until]
        return [*self._source.packed(since, until), *fresh]

    def _whole(self, segment: Segment[str], passed: Scan[str]) -> Segment[str]:
        """A segment to which rows after the range may belong."""
        low, high = 0, len(self._later)
        while low < high:
            middle = (low + high) // 2
            if _has(self._scan(self._later[middle]), segment):
                low = middle + 1
            else:
                high = middle
        if low not in self._ends:
            base = self._scan(self._later[low - 1]) if low else passed
            until = self._later[low] - 1 if low < len(self._later) else LAST_US
            found = segments_since(base, self._rows(base, until))
            self._ends[low] = {(one.v, one.t1): one for one in found}
        return self._ends[low][segment.v, segment.t1]

    def _scan(self, moment: int) -> Scan[str]:
        if moment not in self._scans:
            self._scans[moment] = self._source.scan(moment)
        return self._scans[moment]


def _has(scan: Scan[str], segment: Segment[str]) -> bool:
    return any(v == segment.v and scan.at - before == segment.t1 for v, before, *_ in scan.parts)
