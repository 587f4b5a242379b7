"""Changes of packed rows: data-points are added, and old history is removed by the rules of
`dp3.history.retention`. Pure.

Adding is lossless: data-points that touch or overlap and say the same become one segment, which readers would
do anyway; other than that all stay as they are.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

import msgspec

from dp3.history.retention import NO_LIMIT, Judgement, KeepRule
from dp3.history.segments import PackedSegment, Segment, SegmentRow, decode_segments, encode_segments, unite
from dp3.store.ports.history import FreshValues, PackedRow, Subject
from dp3.store.ports.retention import StoredRow

MOST_SEGMENTS = 64
"""In one row: about a kilobyte. A row is written anew for each slice that brings something for its value."""


class Packed(NamedTuple):
    """Rows that are new or change. `longer`: (entity, attribute) → a moment before which no segment begins
    that was there and may have become longer, if there is any."""

    rows: list[PackedRow]
    longer: dict[tuple[int, int], int]


def packed_with(
    fresh: FreshValues,
    last: Mapping[Subject, PackedRow],
    united: Container[int],
    most: int = MOST_SEGMENTS,
) -> Packed:
    """The change of packed rows when fresh data-points are added; `last` are the last rows of the subjects
    so far. Segments of attributes that are `united` become one where they touch; a row has at most `most`."""
    rows: list[PackedRow] = []
    longer: dict[tuple[int, int], int] = {}
    for subject, values in fresh.items():
        row = last.get(subject)
        for v, segments in values:
            noted = looked = None
            if row is not None and row.v == v:
                part, looked = row.part, row.first
                noted = min(row.oldest, _oldest(subject, segments))
                unites, place = subject[1] in united, subject[:2]
                segments, reached = _added(segments, [*decode_segments(row.segments)], unites)
                if unites and reached is not None:
                    longer[place] = min(reached, longer.get(place, reached))
            else:
                part = 0 if row is None else row.part + 1
                if row is not None and row.last is None:  # another value with this tag
                    bounded = _bounded(row, [*decode_segments(row.segments)])
                    rows = [*(one for one in rows if one is not row), bounded]
                if len(segments) > 1:
                    segments = _in_order(segments, subject[1] in united)
            for at in range(0, len(segments), most):
                some = segments if len(segments) <= most else segments[at : at + most]
                row = _row(subject, part, v, some, noted)
                if looked is not None:
                    row = row._replace(first=some[0][0])
                if len(some) >= most or subject[2] < 0:
                    row = _bounded(row, some)
                rows.append(row)
                part += 1
    return Packed(rows, longer)


def _row(
    subject: Subject, part: int, v: bytes, segments: list[PackedSegment], noted: int | None
) -> PackedRow:
    """`noted`: before which nothing of the row goes, if that was found out before."""
    oldest = _oldest(subject, segments) if noted is None else noted
    points = sum([segment[3] for segment in segments])
    return PackedRow(*subject, part, oldest, points, v, encode_segments(segments))


def _oldest(subject: Subject, segments: Sequence[PackedSegment]) -> int:
    """Before that nothing of a row goes, and of observations nothing begins: they may keep others."""
    if subject[2] >= 0:
        return min([segment[0] for segment in segments])
    return min([segment[1] for segment in segments])


def _bounded(row: PackedRow, segments: Sequence[PackedSegment]) -> PackedRow:
    """A row that readers need not look at for a time at which it has nothing."""
    return row._replace(first=segments[0][0], last=max([segment[1] for segment in segments]))


def _added(
    fresh: list[PackedSegment], packed: list[PackedSegment], united: bool
) -> tuple[list[PackedSegment], int | None]:
    """All of them in the order of time, and when the first packed one begins that can change, if any can.
    These are the last ones: fresh data-points mostly begin after them."""
    first = min([segment[0] for segment in fresh])
    stay = len(packed)
    while stay and packed[stay - 1][1] >= first:
        stay -= 1
    reached = packed[stay][0] if stay < len(packed) else None
    return packed[:stay] + _in_order(packed[stay:] + fresh, united), reached


def _in_order(segments: list[PackedSegment], united: bool) -> list[PackedSegment]:
    """The segments of one value; data-points of timeseries are never united."""
    if not united or len(segments) == 1 or segments[0][2] is None:
        return sorted(segments, key=_times)
    rows = [(t1, t2, c_sum or 0, b"", n) for t1, t2, c_sum, n in segments]
    return [(segment.t1, segment.t2, segment.c_sum, segment.n) for segment in unite(rows)]


_times = itemgetter(0, 1)


# -- removal of old history --------------------------------------------------------------------------------
class Judged(msgspec.Struct, frozen=True, gc=False):
    """A row and the segments of it that are left; something of it may end at `oldest`, not before."""

    row: StoredRow
    segments: list[PackedSegment]
    oldest: int

    @property
    def changed(self) -> bool:
        """True if anything is gone, or joined to what is here."""
        return self.segments != self.row.segments


class Verdict(NamedTuple):
    """The outcome for rows. `gone`: what readers do not see any more. `dirty`: another value may hold now.
    `separates`: see `Judgement.separates_what_comes`. `known_until`: it is right if nothing that is unknown
    begins at this time (µs) or before."""

    rows: list[Judged]
    gone: list[Segment[bytes]]
    dirty: bool
    separates: bool
    known_until: int


def judge(
    rows: Sequence[StoredRow], fresh: Iterable[SegmentRow[bytes]], rule: KeepRule, limit: int, now: int
) -> Verdict:
    """The outcome for packed rows: those of one attribute, and of all values that matter for each other.
    `fresh` is the rest of their history. By age goes what ended before `limit` (µs)."""
    packed = [(t1, t2, c or 0, row.v, n) for row in rows for t1, t2, c, n in row.segments]
    judgement = Judgement(packed, [*fresh], rule, limit, now)
    return Verdict(
        rows=_by_row(rows, judgement),
        gone=judgement.gone,
        dirty=judgement.changes_values(),
        separates=judgement.separates_what_comes(),
        known_until=judgement.known_until(),
    )


class Span(NamedTuple):
    """Of the segments of some rows: when the last of those ended that ended before a limit, and when the
    first of the rest begins (µs)."""

    old_end: int
    rest_begin: int


NOTHING_OLD = NO_LIMIT


def span_of(rows: Iterable[StoredRow], limit: int) -> Span:
    """See `Span`."""
    old_end, rest_begin = NOTHING_OLD, -NO_LIMIT
    for row in rows:
        for t1, t2, _, _ in row.segments:
            if t2 >= limit:
                if t1 < rest_begin:
                    rest_begin = t1
            elif t2 > old_end:
                old_end = t2
    return Span(old_end, rest_begin)


def without_old(rows: Iterable[StoredRow], limit: int) -> list[Judged]:
    """The rows if everything goes that ended before a limit, for which `judge` is not needed. Those that
    begin after it are as if they were new."""
    judged = []
    for row in rows:
        left = [segment for segment in row.segments if segment[1] >= limit]
        if not left:
            oldest = row.oldest
        elif left[0][0] >= limit and row.first is None and not row.is_timeseries:
            oldest = left[0][0]
        else:
            oldest = min([segment[1] for segment in left])
        judged.append(Judged(row, left, oldest))
    return judged


def _by_row(rows: Sequence[StoredRow], judgement: Judgement) -> list[Judged]:
    """Segments that are joined stay in the row where the first of them was."""
    parts = [(number, segment) for number, row in enumerate(rows) for segment in row.segments]
    checks = judgement.checks()
    left: list[list[PackedSegment]] = [[] for _ in rows]
    oldest: list[list[int]] = [[] for _ in rows]
    for places in judgement.staying():
        number = parts[places[0]][0]
        left[number].append(_as_one([parts[place][1] for place in places]))
        oldest[number].append(checks[places[0]])
    return [
        Judged(row, some, min(ends, default=row.oldest))
        for row, some, ends in zip(rows, left, oldest, strict=True)
    ]


def _as_one(segments: Sequence[PackedSegment]) -> PackedSegment:
    """Segments of one value, in the order of time, as one."""
    if len(segments) == 1:
        return segments[0]
    return (
        segments[0][0],
        max(t2 for _, t2, _, _ in segments),
        sum(c_sum or 0 for _, _, c_sum, _ in segments),
        sum(n for _, _, _, n in segments),
    )
