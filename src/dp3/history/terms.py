"""The frozen terms of a confidence: everything that is needed to tell it at any moment."""

import msgspec

from dp3.model.wire import CONFIDENCE_UNIT


class Terms(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Of the segment that gives a value: sum of confidences (10⁻⁹), number of observations, first and last
    moment, and how long it is valid with falling confidence before and after them (all µs)."""

    c_sum: int
    n: int
    t1: int
    t2: int
    pre: int
    post: int


def confidence(terms: Terms | list[Terms], t: int) -> float | list[float]:
    """The confidence (0…1) at `t` (µs); for a multi-valued attribute one for each value.

    The nearest float of the ratio that `dp3.history.confidence_at` tells.
    """
    if isinstance(terms, Terms):
        return _at(terms, t)
    return [_at(of_value, t) for of_value in terms]


def _at(terms: Terms, t: int) -> float:
    if t < terms.t1:
        left, span = terms.pre - (terms.t1 - t), terms.pre
    elif t > terms.t2:
        left, span = terms.post - (t - terms.t2), terms.post
    else:
        return terms.c_sum / (terms.n * CONFIDENCE_UNIT)
    return terms.c_sum * left / (terms.n * CONFIDENCE_UNIT * span) if left > 0 else 0.0
