"""What was the value at a moment? All functions take the canonical form.

Confidences are compared exactly, as fractions; of equal ones the later `t1` wins, then the later `t2`,
then the greater encoded value. That is the canonical order, so the later in the list wins.
"""

from collections.abc import Sequence
from typing import NamedTuple

from dp3.history.confidence import ZERO, Ratio, confidence_at
from dp3.history.segments import Params, Segment


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

    In the order in which the values first appear in history, whether or not valid at `t` there.
    """
    highest: dict[bytes, Ratio] = {}
    for segment in segments:
        if segment.t1 - params.pre > t:
            break
        confidence = confidence_at(segment, t, params)
        if _less(highest.setdefault(segment.v, ZERO), confidence):
            highest[segment.v] = confidence
    return [
        Current(v, numerator / denominator) for v, (numerator, denominator) in highest.items() if numerator
    ]


def _less(left: Ratio, right: Ratio) -> bool:
    return left[0] * right[1] < right[0] * left[1]
