"""Segments: what an attribute's history looks like once observations that belong together are joined.

Two rules join them. *Uniting*: observations of one value that touch or overlap are one, whatever other values
do meanwhile. It depends on that value alone, so it can be done in any portions and its result is stored (see
`encode_segments`). *Bridging*: united neighbours of one value become one across a gap that their validity
spans. It also depends on other values, so it is done whenever history is read and never stored: a value
that arrives late in a gap simply keeps its neighbours apart.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

import msgspec

from dp3.clock import duration_us
from dp3.model.attrspec import AttrSpecObservations

V = TypeVar("V", bytes, str)
"""A value: opaque, only compared. `bytes` of `encode_value`, or hexadecimal digits of them where these are at
hand already; both compare alike."""

SegmentRow: TypeAlias = tuple[int, int, int, V, int]
"""A segment, or a single observation, as the state gives it: `t1`, `t2` (µs, both inclusive), sum of
confidences (10⁻⁹), value, number of observations. A plain tuple, because there are very many."""

PackedSegment: TypeAlias = tuple[int, int, int | None, int]
"""A segment without its value: `t1`, `t2` (µs), sum of confidences (10⁻⁹; None for data-points of timeseries)
and number of data-points. A plain tuple, because there are very many."""


@dataclass(frozen=True, slots=True)
class Params:
    """Parameters with which the history of one attribute is read.

    `pre` and `post` (µs) are how long a value is valid, with falling confidence, before `t1` and after
    `t2`. Raises `ValueError` when one is negative.
    """

    pre: int = 0
    post: int = 0
    multi_value: bool = False
    aggregate: bool = True

    def __post_init__(self) -> None:
        if self.pre < 0 or self.post < 0:
            raise ValueError(
                f"pre and post validity must be 0 µs or more, got pre={self.pre}, post={self.post}"
            )


def history_params(spec: AttrSpecObservations) -> Params:
    """The parameters that the model gives an attribute."""
    configured = spec.history_params
    return Params(
        pre=duration_us(configured.pre_validity),
        post=duration_us(configured.post_validity),
        multi_value=spec.multi_value,
        aggregate=configured.aggregate,
    )


class Segment(msgspec.Struct, Generic[V], order=True, gc=False):
    """`n` observations that say `v` from `t1` to `t2` (µs, both inclusive).

    `c_sum` is the sum of their confidences (10⁻⁹), so the mean is exact however they were grouped. `last_t1`
    is where the last of the united segments in it begins. Segments compare in canonical order, by (t1, t2, v,
    c_sum, n); of two with equal confidence at some time, the later in this order wins. Only `segments_of`
    changes them, while it makes them.
    """

    t1: int
    t2: int
    v: V
    c_sum: int
    n: int
    last_t1: int

    @property
    def row(self) -> SegmentRow[V]:
        """The segment as a plain tuple."""
        return self.t1, self.t2, self.c_sum, self.v, self.n


def segments_of(rows: Iterable[SegmentRow[V]], params: Params) -> list[Segment[V]]:
    """The history of one attribute as readers see it, in canonical order.

    A pure function of the multiset of observations: neither their order nor which of them are already united
    matters. With `aggregate` off every row is a segment of its own.

    >>> segments_of([(0, 10, 8, "A", 1), (15, 20, 6, "A", 1)], Params(post=5))
    [Segment(t1=0, t2=20, v='A', c_sum=14, n=2, last_t1=15)]
    """
    if not params.aggregate:
        return sorted([Segment(t1, t2, v, c_sum, n, t1) for t1, t2, c_sum, v, n in rows])
    segments: list[Segment[V]] = []
    join(rows, params, segments, {})
    return segments


def unite(rows: Iterable[SegmentRow[V]]) -> list[Segment[V]]:
    """United but not bridged, in canonical order.

    Works in portions: with the rows of `unite(a)` beside `b` the result is that of `a` and `b` together.
    """
    segments: list[Segment[V]] = []
    join(rows, _UNITED, segments, {})
    return segments


_UNITED = Params(multi_value=True)

NO_START = -1 << 63
"""Before all starts."""


def join(
    rows: Iterable[SegmentRow[V]],
    params: Params,
    segments: list[Segment[V]],
    last: dict[V, Segment[V]],
    tied: bool = False,
) -> int:
    """Go through rows from left to right: unite, and bridge gaps that validity spans; for a single-valued
    attribute only those in which no other value begins. Returns the latest start of a united segment.

    `segments` are those that earlier rows have made, and become all, in canonical order; `last` of them the
    last of each value. `tied`: some of them may be in another order.

    Both in one pass. In the order of `t1`, whether a row continues a united segment depends on earlier rows
    only, so the starts of united segments, which decide on bridging, become known in their order. Another
    value begins strictly between two neighbours exactly if the latest start before that of the second is
    later than that of the first.
    """
    reach, others_separate = params.pre + params.post, not params.multi_value
    start = before = NO_START
    for t1, t2, c_sum, v, n in sorted(rows):
        segment = last.get(v)
        if segment is None or t1 > segment.t2:
            if t1 != start:
                before, start = start, t1
            else:
                tied = True
            if segment is None or t1 - segment.t2 > reach or (others_separate and before > segment.last_t1):
                last[v] = segment = Segment(t1, t2, v, c_sum, n, t1)
                segments.append(segment)
                continue
            segment.last_t1 = t1
        if t2 > segment.t2:
            segment.t2 = t2
        segment.c_sum += c_sum
        segment.n += n
    if tied:
        segments.sort()
    return start


def overlapping(segments: Iterable[Segment[V]], t_from: int, t_to: int) -> list[Segment[V]]:
    """Segments that share at least one µs with `t_from` … `t_to` (both inclusive)."""
    return [segment for segment in segments if segment.t2 >= t_from and segment.t1 <= t_to]


_encode = msgspec.msgpack.Encoder().encode
_decode: Callable[[bytes], list[int]] = msgspec.msgpack.Decoder(list[int | None]).decode  # type: ignore[assignment]


def encode_segments(segments: Iterable[PackedSegment]) -> bytes:
    """The stored form: each `t1` as the distance to the one before, `t2` as the length."""
    numbers: list[int | None] = []
    before = 0
    for t1, t2, c_sum, n in segments:
        numbers += (t1 - before, t2 - t1, c_sum, n)
        before = t1
    return _encode(numbers)


def decode_segments(encoded: bytes) -> Iterator[PackedSegment]:
    """The inverse of `encode_segments`."""
    numbers = iter(_decode(encoded))
    t1 = 0
    for distance, length, c_sum, n in zip(numbers, numbers, numbers, numbers, strict=True):
        t1 += distance
        yield t1, t1 + length, c_sum, n


def segment_list(encoded: bytes) -> list[PackedSegment]:
    """The same at once: most rows hold few segments."""
    numbers = _decode(encoded)
    t1, length, c_sum, n = numbers[:4]
    segments: list[PackedSegment] = [(t1, t1 + length, c_sum, n)]
    for at in range(4, len(numbers), 4):
        t1 += numbers[at]
        segments.append((t1, t1 + numbers[at + 1], numbers[at + 2], numbers[at + 3]))
    return segments
