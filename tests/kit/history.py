"""The model of history: each step by itself, where the product takes them in one pass.

Uniting, bridging, the winner at a time and the next change of the value are separate functions here, on
immutable segments. Slower than `dp3.history`, of which nothing is used but `Params`: both can be compared.

A data-point is an `Observation`; any part of a history may be united already and is a `Segment` then.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple, TypeAlias

from dp3.history import Params
from dp3.model.wire import CONFIDENCE_UNIT


class Observation(NamedTuple):
    """One data-point: the value `v` from `t1` to `t2` (µs, both inclusive) with confidence `c` (10⁻⁹)."""

    t1: int
    t2: int
    c: int
    v: bytes


class Segment(NamedTuple):
    """`n` observations that said `v` from `t1` to `t2` (µs, both inclusive).

    `c_sum` is the sum of their confidences (10⁻⁹), so the mean is exact however they were grouped.
    """

    t1: int
    t2: int
    c_sum: int
    n: int
    v: bytes


# Also the order of ties: of two segments with equal confidence at some time, the later in this order wins.
_canonical_order = itemgetter(0, 1, 4, 2, 3)


def canonical(parts: Iterable[Observation | Segment], params: Params) -> list[Segment]:
    """What readers see of a history: sorted by (t1, t2, v, c_sum, n), equal neighbours shown as one.

    A pure function of the multiset of observations; any of them may already be united into segments.
    With `aggregate` off there is one segment per part.
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


def _sorted_segments(parts: Iterable[Observation | Segment]) -> list[Segment]:
    return sorted(map(_as_segment, parts), key=_canonical_order)


def _as_segment(part: Observation | Segment) -> Segment:
    if isinstance(part, Segment):
        return part
    t1, t2, c, v = part
    return Segment(t1, t2, c, 1, v)


@dataclass(slots=True)
class _Joint:
    """Segments of one value that are becoming one; `start` numbers the start of the last of them."""

    t1: int
    t2: int
    c_sum: int
    n: int
    start: int


def _joined(segments: Sequence[Segment], reach: int, others_separate: bool) -> list[Segment]:
    """Join each segment to the previous one of its value if the gap is at most `reach`.

    `segments` are in canonical order. Distinct start times are numbered; between two neighbours of one
    value another value starts if and only if their numbers differ by more than one.
    """
    joined: list[tuple[bytes, _Joint]] = []
    last: dict[bytes, _Joint] = {}
    start, previous_t1 = 0, None
    for t1, t2, c_sum, n, v in segments:
        if t1 != previous_t1:
            start, previous_t1 = start + 1, t1
        joint = last.get(v)
        if joint is None or t1 - joint.t2 > reach or (others_separate and start - joint.start > 1):
            joint = last[v] = _Joint(t1, t2, c_sum, n, start)
            joined.append((v, joint))
            continue
        joint.t2 = max(joint.t2, t2)
        joint.c_sum += c_sum
        joint.n += n
        joint.start = start
    return _sorted_segments(Segment(joint.t1, joint.t2, joint.c_sum, joint.n, v) for v, joint in joined)


# -- confidence ----------------------------------------------------------------------------------------
Ratio: TypeAlias = tuple[int, int]
"""Numerator ≥ 0 and denominator > 0, not reduced; `numerator / denominator` is the nearest float."""

ZERO: Ratio = (0, 1)


def mean_confidence(segment: Segment) -> float:
    """The confidence (0…1) of a segment within its own bounds."""
    return segment.c_sum / (segment.n * CONFIDENCE_UNIT)


def confidence_at(segment: Segment, t: int, params: Params) -> Ratio:
    """The confidence (0…1) of a segment at `t` (µs)."""
    t1, t2, c_sum, n, _ = segment
    if t < t1:
        left, span = params.pre - (t1 - t), params.pre
    elif t > t2:
        left, span = params.post - (t - t2), params.post
    else:
        return c_sum, n * CONFIDENCE_UNIT
    if left <= 0:
        return ZERO
    return c_sum * left, n * CONFIDENCE_UNIT * span


def validity(segment: Segment, params: Params) -> tuple[int, int]:
    """The first and the last µs at which a segment with `c_sum` > 0 has a confidence above 0."""
    return segment.t1 - max(params.pre - 1, 0), segment.t2 + max(params.post - 1, 0)


# -- the value at a time -------------------------------------------------------------------------------
class Current(NamedTuple):
    """A value at a moment and its confidence (above 0, at most 1)."""

    v: bytes
    confidence: float


def value_at(segments: Sequence[Segment], t: int, params: Params) -> Current | None:
    """The value of a single-valued attribute at `t` (µs): the one with the highest confidence.

    None when no segment has a confidence above 0.
    """
    winner = winner_at(segments, t, params)
    if winner is None:
        return None
    numerator, denominator = confidence_at(winner, t, params)
    return Current(winner.v, numerator / denominator)


def winner_at(segments: Sequence[Segment], t: int, params: Params) -> Segment | None:
    """The segment that gives a single-valued attribute its value at `t` (µs)."""
    winner = None
    highest = ZERO
    for segment in segments:
        if segment.t1 - params.pre > t:
            break
        confidence = confidence_at(segment, t, params)
        if confidence[0] and not _less(confidence, highest):
            winner, highest = segment, confidence
    return winner


def values_at(segments: Sequence[Segment], t: int, params: Params) -> list[Current]:
    """The values of a multi-valued attribute at `t` (µs), each with the highest of its confidences.

    In the canonical order of the segments that give them.
    """
    highest: dict[bytes, tuple[Segment, Ratio]] = {}
    for segment in segments:
        if segment.t1 - params.pre > t:
            break
        confidence = confidence_at(segment, t, params)
        if confidence[0] and not _less(confidence, highest.get(segment.v, (segment, ZERO))[1]):
            highest[segment.v] = segment, confidence
    found = sorted(highest.values(), key=lambda one: _canonical_order(one[0]))
    return [Current(segment.v, numerator / denominator) for segment, (numerator, denominator) in found]


def _less(left: Ratio, right: Ratio) -> bool:
    return left[0] * right[1] < right[0] * left[1]


# -- its next change -----------------------------------------------------------------------------------
def next_change(segments: Sequence[Segment], t: int, params: Params) -> int | None:
    """The earliest time after `t` (µs) at which the value differs from that at `t`, without new data.

    For a single-valued attribute that is another winning value, for a multi-valued one another set of
    values; becoming or ceasing to be empty counts for both. A change of confidence alone does not.
    None when nothing changes any more. `segments` are in canonical form.
    """
    valid = [segment for segment in segments if segment.c_sum]
    if params.multi_value:
        return _next_other_set(valid, t, params)
    return _next_other_winner(valid, t, params)


def _next_other_set(segments: Sequence[Segment], t: int, params: Params) -> int | None:
    """The earliest end of a present value's uninterrupted validity, or start of an absent value's."""
    until: dict[bytes, int] = {}
    changes = []
    for segment in segments:
        start, end = validity(segment, params)
        if end < t:
            continue
        present_until = until.get(segment.v, t - 1)
        if start <= max(t, present_until + 1):
            until[segment.v] = max(end, present_until)
        else:
            changes.append(start)
    changes.extend(end + 1 for end in until.values())
    return min(changes, default=None)


def _next_other_winner(segments: Sequence[Segment], t: int, params: Params) -> int | None:
    winner = winner_at(segments, t, params)
    if winner is None:
        return _next_start(segments, t, params)
    value = winner.v
    while winner is not None and winner.v == value:
        t = _challenge(winner, segments, t, params)
        winner = winner_at(segments, t, params)
    return t


def _next_start(segments: Sequence[Segment], t: int, params: Params) -> int | None:
    starts = (validity(segment, params)[0] for segment in segments)
    return next((start for start in starts if start > t), None)


def _challenge(winner: Segment, segments: Sequence[Segment], t: int, params: Params) -> int:
    """The earliest time after `t` at which the winner is not valid or another value is ahead of it.

    Until then the value stays. It may stay then, too, by another segment of the same value.
    """
    _, last = validity(winner, params)
    for rival in segments:
        start, end = validity(rival, params)
        if start > last:
            break
        if rival.v != winner.v:
            overtaken = _first_ahead(rival, winner, max(t + 1, start), min(last, end), params)
            if overtaken is not None:
                last = overtaken - 1
    return last + 1


def _first_ahead(rival: Segment, winner: Segment, first: int, last: int, params: Params) -> int | None:
    """The earliest time in `first` … `last`, where both are valid, at which `rival` is preferred."""
    wins_ties = (rival.t1, rival.t2, rival.v) > (winner.t1, winner.t2, winner.v)
    needed = 0 if wins_ties else 1
    for start, end in _linear_pieces(rival, winner, first, last):
        lead = _lead(rival, winner, start, params)
        if lead >= needed:
            return start
        missing = needed - lead
        gain = _lead(rival, winner, end, params) - lead
        if gain >= missing:
            return start + -(-missing * (end - start) // gain)
    return None


def _linear_pieces(a: Segment, b: Segment, first: int, last: int) -> Iterator[tuple[int, int]]:
    """Split `first` … `last` where one of the two confidences changes from one line to another."""
    if first > last:
        return
    cuts = sorted({cut for cut in (a.t1, a.t2 + 1, b.t1, b.t2 + 1) if first < cut <= last})
    for cut in cuts:
        yield first, cut - 1
        first = cut
    yield first, last


def _lead(rival: Segment, winner: Segment, t: int, params: Params) -> int:
    """By how much `rival` is ahead at `t`, in units that stay the same within one linear piece."""
    rival_numerator, rival_denominator = confidence_at(rival, t, params)
    winner_numerator, winner_denominator = confidence_at(winner, t, params)
    return rival_numerator * winner_denominator - winner_numerator * rival_denominator
