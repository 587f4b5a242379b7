"""Confidence of a segment at a moment, as an exact fraction.

It is the mean confidence `c` of the segment's observations between `t1` and `t2`; before and after it
falls linearly and reaches 0 at `t1 − pre` and `t2 + post`:

    c        ┌─────────────┐
           ╱ │             │ ╲
    0  ───╱  │             │    ╲──────
      t1−pre t1           t2   t2+post
"""

from typing import TypeAlias

from dp3.history.segments import Params, Segment
from dp3.model.wire import CONFIDENCE_UNIT

Ratio: TypeAlias = tuple[int, int]
"""Numerator ≥ 0 and denominator > 0, not reduced; `numerator / denominator` is the nearest float."""

ZERO: Ratio = (0, 1)


def mean_confidence(segment: Segment) -> float:
    """The confidence (0…1) of a segment within its own bounds."""
    return segment.c_sum / (segment.n * CONFIDENCE_UNIT)


def confidence_at(segment: Segment, t: int, params: Params) -> Ratio:
    """The confidence (0…1) of a segment at `t` (µs).

    >>> confidence_at(Segment(10, 20, 1_000_000_000, 1, b"A"), 7, Params(pre=4))
    (1000000000, 4000000000)
    """
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
