"""Which segment gives the value at a moment, and until when."""

from collections.abc import Iterable, Sequence

from dp3.engine.snapshots.chains import Chain
from dp3.history import Params, Segment, next_change

Standing = tuple[Chain | None, int | None]
"""The winner at a moment and the next moment (µs) with another one; None for no winner, for never."""


def standing(chains: Iterable[Chain], t: int, params: Params) -> Standing:
    """The segment with the highest confidence at `t` (µs) and when another one, or none, will have it.

    `chains` compete for one place: all of a single-valued attribute, or those of one value. The winner may
    change without its value: then its confidence is that of other terms.
    """
    head, tail = max(params.pre - 1, 0), max(params.post - 1, 0)
    live = [chain for chain in chains if chain.t2 + tail >= t and chain.c_sum]
    valid = [chain for chain in live if chain.t1 - head <= t]
    if not valid:
        return None, min((chain.t1 - head for chain in live), default=None)
    winner = valid[0] if len(valid) == 1 else _strongest(valid, t, params)
    end = winner.t2 + tail + 1
    if len(live) == 1:
        return winner, end
    rivals = [chain for chain in _rivals(winner, live, t) if chain.t1 - head < end]
    return winner, _next_winner([winner, *rivals], t, params) if rivals else end


def _strongest(valid: Sequence[Chain], t: int, params: Params) -> Chain:
    """The highest confidence; of equals the last in canonical order. Ratios are compared exactly."""
    best, best_numerator, best_denominator = valid[0], -1, 1
    for chain in valid:
        if t < chain.t1:
            left, span = params.pre - (chain.t1 - t), params.pre
        elif t > chain.t2:
            left, span = params.post - (t - chain.t2), params.post
        else:
            left = span = 1
        numerator, denominator = chain.c_sum * left, chain.n * span
        lead = numerator * best_denominator - best_numerator * denominator
        if lead > 0 or (lead == 0 and chain > best):
            best, best_numerator, best_denominator = chain, numerator, denominator
    return best


def _rivals(winner: Chain, live: Iterable[Chain], t: int) -> list[Chain]:
    """Those that may get ahead of the winner while it is valid.

    Once two have begun, the one that ends no later can not: confidence is a log-concave function of time, so
    the ratio of the earlier ending one to the later ending one never grows.
    """
    if winner.t1 > t:
        return [chain for chain in live if chain is not winner]
    last = winner.t2
    return [chain for chain in live if chain.t2 > last or chain.t1 > t]


def _next_winner(chains: Iterable[Chain], t: int, params: Params) -> int | None:
    """Exactly; values are replaced by ranks so that every segment counts as a value of its own."""
    ranked = [
        Segment(chain.t1, chain.t2, chain.c_sum, chain.n, rank.to_bytes(4, "big"))
        for rank, chain in enumerate(sorted(chains))
    ]
    return next_change(ranked, t, Params(params.pre, params.post))
