"""From observations to the canonical list of segments.

*Uniting* depends on the segments of one value alone, so it can be done in any portions and its result
can be stored. *Bridging* also depends on what other values did meanwhile; it is computed when history is
read and never stored, so that a value that arrives late in a gap simply keeps its neighbours apart.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple


class Observation(NamedTuple):
    """One data-point: the value `v` from `t1` to `t2` (µs, both inclusive) with confidence `c` (10⁻⁹)."""

    t1: int
    t2: int
    c: int
    v: bytes


class Segment(NamedTuple):
    """A stretch from `t1` to `t2` (µs, both inclusive) in which `n` observations said `v`.

    `c_sum` is the sum of their confidences (10⁻⁹), so the mean is exact however they were grouped.
    """

    t1: int
    t2: int
    c_sum: int
    n: int
    v: bytes


@dataclass(frozen=True, slots=True)
class Params:
    """How the history of one attribute is read.

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


# Also the order of ties: of two segments with equal confidence at a moment, the later in this order wins.
_canonical_order = itemgetter(0, 1, 4, 2, 3)


def canonical(parts: Iterable[Observation | Segment], params: Params) -> list[Segment]:
    """What readers see of a history: sorted by (t1, t2, v, c_sum, n), equal neighbours shown as one.

    A pure function of the multiset of observations; any of them may already be united into segments.
    With `aggregate` off there is one segment per part.

    >>> canonical([Observation(0, 10, 8, b"A"), Observation(15, 20, 6, b"A")], Params(post=5))
    [Segment(t1=0, t2=20, c_sum=14, n=2, v=b'A')]
    """
    if not params.aggregate:
        return _sorted_segments(parts)
    return bridge(unite(parts), params)


def unite(parts: Iterable[Observation | Segment]) -> list[Segment]:
    """Join what touches or overlaps with the same value, whatever other values do meanwhile.

    Works in portions: `unite([*unite(a), *b]) == unite([*a, *b])`.
    """
    return _joined(_sorted_segments(parts), reach=0, others_separate=False)


def bridge(united: Sequence[Segment], params: Params) -> list[Segment]:
    """Join neighbours of the same value across gaps that their validity spans.

    `united` is the result of `unite`. A and the next segment B of its value become one if
    `A.t2 + post ≥ B.t1 − pre` and, unless the attribute is multi-valued, no segment of another value
    starts strictly between `A.t1` and `B.t1`. The condition is about the segments as given, pair by pair;
    not to be applied to its own result.
    """
    return _joined(united, reach=params.pre + params.post, others_separate=not params.multi_value)


def overlapping(segments: Iterable[Segment], t_from: int, t_to: int) -> list[Segment]:
    """Those segments that share at least one moment with `t_from` … `t_to` (µs, both inclusive)."""
    return [segment for segment in segments if segment.t2 >= t_from and segment.t1 <= t_to]


def _sorted_segments(parts: Iterable[Observation | Segment]) -> list[Segment]:
    return sorted(map(_as_segment, parts), key=_canonical_order)


def _as_segment(part: Observation | Segment) -> Segment:
    if isinstance(part, Segment):
        return part
    t1, t2, c, v = part
    return Segment(t1, t2, c, 1, v)


@dataclass(slots=True)
class _Chain:
    """Segments of one value that are becoming one; `moment` numbers the start of the last of them."""

    t1: int
    t2: int
    c_sum: int
    n: int
    moment: int


def _joined(segments: Sequence[Segment], reach: int, others_separate: bool) -> list[Segment]:
    """Join each segment to the previous one of its value if the gap is at most `reach`.

    `segments` are in canonical order. Distinct start times are numbered; between two neighbours of one
    value another value starts if and only if their numbers differ by more than one.
    """
    chains: list[tuple[bytes, _Chain]] = []
    last: dict[bytes, _Chain] = {}
    moment, previous_t1 = 0, None
    for t1, t2, c_sum, n, v in segments:
        if t1 != previous_t1:
            moment, previous_t1 = moment + 1, t1
        chain = last.get(v)
        if chain is None or t1 - chain.t2 > reach or (others_separate and moment - chain.moment > 1):
            chain = last[v] = _Chain(t1, t2, c_sum, n, moment)
            chains.append((v, chain))
            continue
        chain.t2 = max(chain.t2, t2)
        chain.c_sum += c_sum
        chain.n += n
        chain.moment = moment
    return _sorted_segments(Segment(chain.t1, chain.t2, chain.c_sum, chain.n, v) for v, chain in chains)
