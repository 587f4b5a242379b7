"""A part of a history, without reading the rest: the segments that are valid at some time of a range, as the
whole history has them.

A `Scan` at the begin tells what reaches into the range, the rows that begin in it tell the most, and what
reaches out of it is followed to its end by later scans. A segment is in every scan from its begin until no
row can join it any more, so the last one that has it is found by bisection.
"""

from collections.abc import Sequence
from typing import Protocol

from dp3.clock import LAST_US
from dp3.history.scan import ENDED, Scan, advanced, empty_scan, segments_since
from dp3.history.segments import Params, Segment, SegmentRow


class HistorySource(Protocol):
    """What is stored of the history of one attribute of an entity, all at one time."""

    @property
    def params(self) -> Params:
        """How the history is read."""
        ...

    @property
    def fresh(self) -> Sequence[SegmentRow[str]]:
        """Rows that no scan knows."""
        ...

    @property
    def moments(self) -> Sequence[int]:
        """Those of all scans that were made with the parameters, ascending."""
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
    back, moments = 1, [at for at in source.moments if first < at <= last]
    while True:
        since = moments[-back] if back <= len(moments) else first
        found = [one for one in segments_between(source, since, last) if one.t2 >= first and one.t1 <= last]
        newest = [one for one in found if one.t1 >= since or since == first]
        if len(newest) >= limit or since == first:
            break
        back *= 2
    newest.reverse()
    if len(newest) <= limit:
        return newest
    return [one for one in newest if one.t1 >= newest[limit - 1].t1]


class _Range:
    """The reading of one range. Scans at moments at which a fresh row has begun tell nothing."""

    def __init__(self, source: HistorySource, first: int, last: int) -> None:
        self._source: HistorySource = source
        self._end = last + source.params.pre
        known = min((row[0] for row in source.fresh), default=LAST_US)
        moments = [at for at in source.moments if at <= known]
        before = [at for at in moments if at <= first]
        self._first: Scan[str] = source.scan(before[-1]) if before else empty_scan(source.params)
        self._later = [at for at in moments if at > self._end]
        self._scans: dict[int, Scan[str]] = {}

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
        base = self._scan(self._later[low - 1]) if low else passed
        until = self._later[low] - 1 if low < len(self._later) else LAST_US
        found = segments_since(base, self._rows(base, until))
        return next(one for one in found if (one.v, one.t1) == (segment.v, segment.t1))

    def _scan(self, moment: int) -> Scan[str]:
        if moment not in self._scans:
            self._scans[moment] = self._source.scan(moment)
        return self._scans[moment]


def _has(scan: Scan[str], segment: Segment[str]) -> bool:
    return any(v == segment.v and scan.at - before == segment.t1 for v, before, *_ in scan.parts)
