"""Segments of a lane, and how old they are: nothing is ordered by append times, which may be wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

CLOCK_TOLERANCE_US = 60_000_000
"""A clock that is set right makes small steps back, too."""


class Tail(NamedTuple):
    """The end of a segment. `offset`, `order` and `total` are those of the last entry of the lane up to here;
    `base_total` is the total before the segment; `latest` the largest append time in it, `created` when it
    was made (µs). `first` is the first offset of the segment."""

    first: int
    sealed: bool
    created: int
    base_total: int
    offset: int
    order: int
    latest: int
    total: int

    @property
    def size(self) -> int:
        """Bytes of the bodies in the segment."""
        return self.total - self.base_total


LANE_START = Tail(first=0, sealed=True, created=0, base_total=0, offset=0, order=0, latest=0, total=0)
"""The end of the lane before its first segment."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """A segment with `max_bytes` of bodies, or with entries and `max_age_us` old, gets no further entry; nor
    does one that was made in the future: the clock was wrong then, or is now."""

    max_bytes: int
    max_age_us: int

    def is_due(self, tail: Tail, now_us: int) -> bool:
        """True if the next entry begins a new segment."""
        size = tail.size
        return size >= self.max_bytes or (
            size > 0 and not -CLOCK_TOLERANCE_US < now_us - tail.created < self.max_age_us
        )


class SegmentEnd(NamedTuple):
    """The age of a segment, as far as the clock can be trusted: `ended_us` is when the last entry up to its
    end was appended, None if that is not known yet, `before_us` when the last one before it was. The segment
    at the end of the lane is not `sealed`."""

    first: int
    last: int
    before_us: int
    ended_us: int | None
    sealed: bool


def ends_of(tails: Sequence[Tail], now_us: int) -> list[SegmentEnd]:
    """The ages of the segments of a lane, oldest first.

    Append times in the future are wrong: what was appended then is older than what came after. Those in
    the past may be too low, so the ages never fall."""
    begun: int | None = None
    latest: list[int | None] = []
    for tail in reversed(tails):
        latest.append(tail.latest if tail.latest <= now_us else begun)
        begun = tail.created if tail.created <= now_us else begun
    ends: list[SegmentEnd] = []
    before = 0
    for tail, ended in zip(tails, reversed(latest), strict=True):
        end = None if ended is None else max(before, ended)
        ends.append(SegmentEnd(tail.first, tail.offset, before, end, tail is not tails[-1]))
        before = end or before
    return ends


def recent_since(ends: Sequence[SegmentEnd], since_us: int) -> dict[int, int]:
    """The segments, by first offset, that may have entries appended at a moment or later, each with the
    append time from which on its entries count as such. What follows a recent entry is recent, whatever the
    clock said then."""
    since: dict[int, int] = {}
    for end in reversed(ends):
        if end.sealed and end.ended_us is not None and end.ended_us < since_us:
            break
        since[end.first] = 0 if end.before_us >= since_us else since_us
    return since
