"""Confidence of a segment at any time. How it is extrapolated is said here and nowhere else.

It is the mean confidence `c` of the segment's observations between `t1` and `t2`; before and after it
falls linearly and reaches 0 at `t1 − pre` and `t2 + post`:

    c        ┌─────────────┐
           ╱ │             │ ╲
    0  ───╱  │             │    ╲──────
      t1−pre t1           t2   t2+post

To extrapolate in another way, change `share_at` and `margins` here, and in `dp3.history.winner` how it is
found when two confidences cross (that they consist of straight lines is used there).
"""

from typing import TypeAlias

import msgspec

from dp3.history.segments import Params, Segment, SegmentRow, V
from dp3.model.wire import CONFIDENCE_UNIT

Ratio: TypeAlias = tuple[int, int]
"""Numerator ≥ 0 and denominator > 0, not reduced; `numerator / denominator` is the nearest float."""


def share_at(t: int, t1: int, t2: int, pre: int, post: int) -> Ratio:
    """The share of its mean confidence that a segment from `t1` to `t2` has at `t` (all µs): 0…1, exactly."""
    if t > t2:
        left, span = post - (t - t2), post
    elif t < t1:
        left, span = pre - (t1 - t), pre
    else:
        return 1, 1
    return (left, span) if left > 0 else (0, 1)


def margins(params: Params) -> tuple[int, int]:
    """For how many µs before `t1` and after `t2` there is a confidence above 0."""
    pre, post = params.pre, params.post
    return pre - 1 if pre else 0, post - 1 if post else 0


def mean_confidence(segment: Segment[V]) -> float:
    """The confidence (0…1) of a segment within its own bounds."""
    return segment.c_sum / (segment.n * CONFIDENCE_UNIT)


def confidence_at(segment: Segment[V], t: int, params: Params) -> Ratio:
    """The confidence (0…1) of a segment at `t` (µs).

    >>> confidence_at(Segment(10, 20, "A", 1_000_000_000, 1, 10), 7, Params(pre=4))
    (1000000000, 4000000000)
    """
    share, whole = share_at(t, segment.t1, segment.t2, params.pre, params.post)
    return segment.c_sum * share, segment.n * CONFIDENCE_UNIT * whole


class Terms(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """All that is needed to tell the confidence of a segment at any time, as snapshots store it: the segment
    without its value (see `Segment`), and for how long (µs) it is valid before and after."""

    c_sum: int
    n: int
    t1: int
    t2: int
    pre: int
    post: int


def terms_of(row: SegmentRow[V], params: Params) -> Terms:
    """The terms of the confidence of a segment, given as a row."""
    t1, t2, c_sum, _, n = row
    return Terms(c_sum, n, t1, t2, params.pre, params.post)


def confidence(terms: Terms, t: int) -> float:
    """The confidence (0…1) at `t` (µs): the nearest float of the ratio that `confidence_at` tells."""
    share, whole = share_at(t, terms.t1, terms.t2, terms.pre, terms.post)
    return terms.c_sum * share / (terms.n * CONFIDENCE_UNIT * whole)
