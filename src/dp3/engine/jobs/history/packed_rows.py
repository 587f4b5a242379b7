"""Changes of packed rows: data-points are added, and old history is removed by the rules of
`dp3.history.retention`. Pure.

Adding is lossless: data-points that touch or overlap and say the same become one segment, which readers would
do anyway; other than that all stay as they are.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

from dp3.history.retention import Judgement, KeepRule
from dp3.history.segments import PackedSegment, Segment, SegmentRow, decode_segments, encode_segments, unite
from dp3.store.ports.history import FreshValues, PackedRow, Subject
from dp3.store.ports.retention import StoredRow

MOST_SEGMENTS = 64
"""In one row: about a kilobyte. A row is written anew for each slice that brings something for its value."""


def packed_with(
    fresh: FreshValues,
    last: Mapping[Subject, PackedRow],
    united: Container[int],
    most: int = MOST_SEGMENTS,
) -> list[PackedRow]:
    """The packed rows that are new or change when fresh data-points are added; `last` are the last rows of
    the subjects so far. Segments of attributes that are `united` become one where they touch; a row has at
    most `most`."""
    rows: list[PackedRow] = []
    for subject, values in fresh.items():
        row = last.get(subject)
        for v, segments in values:
            noted = None
            if row is not None and row.v == v:
                part = row.part
                noted = min(row.oldest, min([segment[1] for segment in segments]))
                segments = _added(segments, [*decode_segments(row.segments)], subject[1] in united)
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
                if len(some) >= most or subject[2] < 0:
                    row = _bounded(row, some)
                rows.append(row)
                part += 1
    return rows


def _row(
    subject: Subject, part: int, v: bytes, segments: list[PackedSegment], noted: int | None
) -> PackedRow:
    """`noted`: before which nothing of the row goes, if that was found out before."""
    oldest, points = segments[0][1], 0
    for _, t2, _, n in segments:
        points += n
        if t2 < oldest:
            oldest = t2
    entity, attr, tag = subject
    return PackedRow(
        entity, attr, tag, part, oldest if noted is None else noted, points, v, encode_segments(segments)
    )


def _bounded(row: PackedRow, segments: Sequence[PackedSegment]) -> PackedRow:
    """A row that readers need not look at for a time at which it has nothing."""
    return row._replace(first=segments[0][0], last=max([segment[1] for segment in segments]))


def _added(fresh: list[PackedSegment], packed: list[PackedSegment], united: bool) -> list[PackedSegment]:
    """All of them in the order of time. Of packed ones only the last can change: fresh data-points mostly
    begin after them."""
    first = min([segment[0] for segment in fresh])
    stay = len(packed)
    while stay and packed[stay - 1][1] >= first:
        stay -= 1
    return packed[:stay] + _in_order(packed[stay:] + fresh, united)


def _in_order(segments: list[PackedSegment], united: bool) -> list[PackedSegment]:
    """The segments of one value; data-points of timeseries are never united."""
    if not united or len(segments) == 1 or segments[0][2] is None:
        return sorted(segments, key=_times)
    rows = [(t1, t2, c_sum or 0, b"", n) for t1, t2, c_sum, n in segments]
    return [(segment.t1, segment.t2, segment.c_sum, segment.n) for segment in unite(rows)]


_times = itemgetter(0, 1)


# -- removal of old history --------------------------------------------------------------------------------
class Judged(NamedTuple):
    """A row and the segments of it that are left."""

    row: StoredRow
    segments: list[PackedSegment]
    oldest: int

    @property
    def changed(self) -> bool:
        """True if anything is gone, or joined to what is here."""
        return self.segments != self.row.segments


class Verdict(NamedTuple):
    """The outcome for rows. `gone`: what readers do not see any more. `dirty`: another value may hold now,
    or several ones in another order."""

    rows: list[Judged]
    gone: list[Segment[bytes]]
    dirty: bool


def judge(rows: Sequence[StoredRow], fresh: Iterable[SegmentRow[bytes]], rule: KeepRule, now: int) -> Verdict:
    """The outcome for packed rows at `now` (µs): those of one attribute, and of all values that matter for
    each other. `fresh` is the rest of their history."""
    packed = [(t1, t2, c or 0, row.v, n) for row in rows for t1, t2, c, n in row.segments]
    judgement = Judgement(packed, [*fresh], rule, now)
    return Verdict(_by_row(rows, judgement), judgement.gone, judgement.changes_values())


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
