"""The scan over a history, kept: what of everything before a moment can still matter.

`segments_of` goes through the rows of an attribute from left to right. A `Scan` is where that is at a moment
`at`: the segments that are valid then or later, the last one of each value that a later row may join, and
whether another value has begun since. With all rows that begin at `at` or later it gives the segments that
the whole history gives, as far as they are valid at `at` or later; so the current value needs no more,
however long the history is. It can not tell what a row changes that begins before `at`.

    Scan ──segments_since(scan, rows)──► segments, as `segments_of` returns them
         ──advanced(scan, rows, at)────► the scan at a later moment
"""

from collections.abc import Iterable, Sequence
from typing import Generic, TypeAlias

import msgspec

from dp3.history.segments import NO_START, Params, Segment, SegmentRow, V, join
from dp3.history.winner import winner_until, winners_until

ENDED, LAST, SEPARATED = range(3)
"""A segment of a scan: one that no later row joins; the last of its value; the last, and a later start has
been seen, so that only a row that touches it joins it."""

BEGINNING = -1 << 62
"""The moment of a scan that has seen nothing: before all times."""


Part: TypeAlias = tuple[V, int, int, int, int, int]
"""A segment of a scan: value, by how much (µs) it begins before the moment of the scan, length (µs), sum of
confidences, number of observations, kind. A plain tuple, because there are very many."""

Row: TypeAlias = tuple[V, int, int, int, int]
"""A row that begins at the moment of a scan or so much (µs) later: value, how much, length (µs), confidence,
number of observations."""


class Scan(msgspec.Struct, Generic[V], array_like=True, frozen=True, gc=False):
    """The scan at `at` (µs), for attributes with these `pre`, `post` (µs) and kinds. `parts`: what is left of
    all rows that begin earlier. `rows`: those that begin later and belong to it. `latest`: the last `t1` of
    all; `lag`: how much earlier (µs) rows began, not long ago, than others that had come before. `passed`:
    so many rows have become parts since that was noted for readers of earlier moments."""

    at: int
    pre: int
    post: int
    multi_value: bool
    aggregate: bool
    parts: tuple[Part[V], ...] = ()
    rows: tuple[Row[V], ...] = ()
    latest: int = BEGINNING
    lag: int = 0
    passed: int = 0

    def fits(self, params: Params) -> bool:
        """True if the scan was made with these parameters."""
        return (
            self.pre == params.pre
            and self.post == params.post
            and self.multi_value == params.multi_value
            and self.aggregate == params.aggregate
        )

    @property
    def params(self) -> Params:
        """The parameters with which it was made."""
        return Params(self.pre, self.post, self.multi_value, self.aggregate)

    def own_rows(self) -> list[SegmentRow[V]]:
        """Its rows, as the state gives them."""
        at = self.at
        return [(at + after, at + after + length, c, v, n) for v, after, length, c, n in self.rows]


def empty_scan(params: Params) -> Scan[V]:
    """The scan before everything.

    >>> segments_since(empty_scan(Params()), [(0, 10, 8, "A", 1)])
    [Segment(t1=0, t2=10, v='A', c_sum=8, n=1, last_t1=0)]
    """
    return Scan(BEGINNING, params.pre, params.post, params.multi_value, params.aggregate)


def segments_since(
    scan: Scan[V], rows: Sequence[SegmentRow[V]] = (), params: Params | None = None
) -> list[Segment[V]]:
    """The segments, in canonical order, that are valid at the moment of the scan or later, and some more of
    those that were. `rows` are those that do not belong to the scan; none begins before its moment. `params`
    are those of the scan, if they are at hand.

    `last_t1` is not that of the whole history."""
    segments, last, tied = _kept(scan)
    if scan.rows or rows:
        known: list[SegmentRow[V]] = scan.own_rows()
        known.extend(rows)
        _continue(known, params or scan.params, segments, last, tied)
    return segments


def finished_scan(segments: Iterable[Segment[V]], params: Params, at: int) -> Scan[V]:
    """A scan at a moment that has these segments, which no row joins."""
    parts = [(one.v, at - one.t1, one.t2 - one.t1, one.c_sum, one.n, ENDED) for one in segments]
    return msgspec.structs.replace(empty_scan(params), at=at, parts=tuple(parts))


def advanced(scan: Scan[V], rows: Iterable[SegmentRow[V]], at: int, params: Params | None = None) -> Scan[V]:
    """The scan at a moment that is not earlier, with some more rows; none begins before the moment that it
    had. `params` are those of the scan, if they are at hand."""
    known: list[SegmentRow[V]] = scan.own_rows()
    known.extend(rows)
    known.sort()
    passed = [row for row in known if row[0] < at]
    parts: list[Part[V]] = []
    if passed or scan.parts:
        segments, last, tied = _kept(scan)
        start = _continue(passed, params or scan.params, segments, last, tied)
        left = (_part(segment, at, _kind(segment, last, start, scan), scan) for segment in segments)
        parts = [part for part in left if part is not None]
    return msgspec.structs.replace(
        scan,
        at=at,
        parts=tuple(parts),
        rows=tuple([(v, t1 - at, t2 - t1, c_sum, n) for t1, t2, c_sum, v, n in known[len(passed) :]]),
        latest=max(scan.latest, known[-1][0]) if known else scan.latest,
        passed=scan.passed + len(passed),
    )


def _kept(scan: Scan[V]) -> tuple[list[Segment[V]], dict[V, Segment[V]], bool]:
    """The segments of a scan, in canonical order; the last one of each value; whether some begin together."""
    segments: list[Segment[V]] = []
    last: dict[V, Segment[V]] = {}
    at, before, tied = scan.at, NO_START, False
    for v, ago, length, c_sum, n, kind in scan.parts:
        t1 = at - ago
        # Every start since then is later than `at - 1`, none is before `NO_START`.
        segment = Segment(t1, t1 + length, v, c_sum, n, at - 1 if kind == LAST else NO_START - 1)
        segments.append(segment)
        tied |= t1 == before
        before = t1
        if kind != ENDED:
            last[v] = segment
    return segments, last, tied


def _continue(
    rows: Iterable[SegmentRow[V]],
    params: Params,
    segments: list[Segment[V]],
    last: dict[V, Segment[V]],
    tied: bool,
) -> int:
    """Go on from what is kept with rows that begin later; returns the latest start, if there was one
    since."""
    if params.aggregate:
        return join(rows, params, segments, last, tied)
    segments += [Segment(t1, t2, v, c_sum, n, t1) for t1, t2, c_sum, v, n in rows]
    segments.sort()
    return NO_START


def _kind(segment: Segment[V], last: dict[V, Segment[V]], start: int, scan: Scan[V]) -> int:
    if last.get(segment.v) is not segment:
        return ENDED
    return SEPARATED if start > segment.last_t1 and not scan.multi_value else LAST


def _part(segment: Segment[V], at: int, kind: int, scan: Scan[V]) -> Part[V] | None:
    """The segment if it can matter at a moment or later: it is valid, or a row may join it; one without any
    confidence is seen as long as it lasts."""
    valid_for = scan.post if segment.c_sum else 0
    if segment.t2 + (valid_for if kind == ENDED else scan.pre + scan.post) < at:
        return None
    return segment.v, at - segment.t1, segment.t2 - segment.t1, segment.c_sum, segment.n, kind


# -- the stored form ---------------------------------------------------------------------------------------
StoredScan: TypeAlias = tuple[int, int, int, int, int, int, tuple[Part[str], ...], tuple[Row[str], ...]]
"""A scan of which `at` is known: 1 for one that aggregates plus 2 for several values, `pre`, `post`, how much
`latest` lies after `at` (0 for nothing), `lag`, `passed`, parts, rows. Values are tokens of the state."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(StoredScan).decode


def encode_scan(scan: Scan[str]) -> str:
    """The stored form, without `at`: JSON, which profiles take up as it is."""
    return _encode(stored_scan(scan)).decode()


def decode_scan(at: int, text: str) -> Scan[str]:
    """The inverse of `encode_scan`."""
    return scan_of(at, _decode(text))


def _kinds(of: Params | Scan[V]) -> int:
    return of.aggregate + 2 * of.multi_value


def stored_scan(scan: Scan[str]) -> StoredScan:
    """The stored form of a scan."""
    after = 0 if scan.latest == BEGINNING else scan.latest - scan.at
    return _kinds(scan), scan.pre, scan.post, after, scan.lag, scan.passed, scan.parts, scan.rows


def scan_of(at: int, stored: StoredScan) -> Scan[str]:
    """A scan from what is stored of it."""
    kinds, pre, post, after, lag, passed, parts, rows = stored
    return Scan(at, pre, post, kinds > 1, kinds % 2 == 1, parts, rows, at + after, lag, passed)


# -- the answer that a scan gives --------------------------------------------------------------------------
class Told(msgspec.Struct, Generic[V], array_like=True, frozen=True, gc=False):
    """The answer of a scan, which holds as long as no row comes: the segments that give the value (values)
    from a moment on, as rows, and the first moment (µs) at which it tells something else; None is never.
    `kinds`, `pre` and `post` as in what is stored of the scan."""

    kinds: int
    pre: int
    post: int
    until: int | None
    winners: tuple[SegmentRow[V], ...]

    def fits(self, params: Params) -> bool:
        """True if it was made with these parameters."""
        return self.kinds == _kinds(params) and self.pre == params.pre and self.post == params.post


def told_by(scan: Scan[V], moment: int, params: Params) -> Told[V]:
    """The answer from a moment on that is not before that of the scan; `params` are those of the scan."""
    segments = segments_since(scan, (), params)
    if params.multi_value:
        winners, change = winners_until(segments, moment, params)
    else:
        winner, change = winner_until(segments, moment, params)
        winners = [] if winner is None else [winner]
    rows = tuple([one.row for one in winners])
    return Told(_kinds(params), params.pre, params.post, change, rows)


def encode_told(told: Told[str]) -> str:
    """The stored form: JSON, which profiles take up as it is."""
    return _encode(told).decode()
