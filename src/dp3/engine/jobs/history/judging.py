"""Judges packed rows when old history is removed: `dp3.history.retention`, row by row. Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dp3.history.packed import PackedSegment
from dp3.history.retention import Judgement, KeepRule
from dp3.history.segments import Segment, SegmentRow
from dp3.store.ports.retention import StoredRow


class Judged(NamedTuple):
    """A row, and the part of it that stays."""

    row: StoredRow
    segments: list[PackedSegment]
    oldest: int

    @property
    def changed(self) -> bool:
        """True if anything is gone, or joined to what is here."""
        return self.segments != self.row.segments


class Verdict(NamedTuple):
    """The verdict on rows. `gone`: what readers do not see any more. `noticed`: another value may hold now,
    or several ones in another order."""

    rows: list[Judged]
    gone: list[Segment[bytes]]
    noticed: bool


def judge(rows: Sequence[StoredRow], fresh: Iterable[SegmentRow[bytes]], rule: KeepRule, now: int) -> Verdict:
    """Judge packed rows at `now` (µs): those of one attribute, and of all values that matter for
    each other. `fresh` is the rest of their history."""
    packed = [(t1, t2, c or 0, row.v, n) for row in rows for t1, t2, c, n in row.segments]
    judgement = Judgement(packed, [*fresh], rule, now)
    return Verdict(_by_row(rows, judgement), judgement.gone, judgement.changes_values())


def _by_row(rows: Sequence[StoredRow], judgement: Judgement) -> list[Judged]:
    """The rest of each row. Joined parts stay in the row where the first of them was."""
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
