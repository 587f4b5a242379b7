"""Which segment gives the value at a moment, and until when."""

from collections.abc import Iterable, Sequence

from dp3.engine.jobs.snapshots.chains import Chain
from dp3.history import Params, Segment, next_change

Standing = tuple[Chain | None, int | None]
"""The winner at a moment and the next moment (µs) with another one; None for no winner, for never."""


def standing(chains: Sequence[Chain], t: int, params: Params) -> Standing:
    """The segment with the highest confidence at `t` (µs) and when another one, or none, will have it.

    `chains` compete for one place: all of a single-valued attribute, or those of one value. The winner may
    change without its value: then its confidence is that of other terms. Fastest when later ones come last.
    """
    head, tail = max(params.pre - 1, 0), max(params.post - 1, 0)
    oldest, latest = t - tail, t + head
    if len(chains) == 1 and chains[0].t1 <= latest:
        (chain,) = chains
        return (chain, chain.t2 + tail + 1) if chain.t2 >= oldest and chain.c_sum else (None, None)
    live = [chain for chain in chains if chain.t2 >= oldest and chain.c_sum]
    winner: Chain | None = None
    for chain in reversed(live):
        if chain.t1 > latest:
            continue
        if winner is None:
            winner = chain
        elif chain.t2 < t and chain.t2 < winner.t2 and winner.t1 <= t and _has_no_higher_mean(chain, winner):
            continue  # it has been falling for longer
        elif _is_ahead(chain, winner, t, params):
            winner = chain
    if winner is None:
        return None, min((chain.t1 - head for chain in live), default=None)
    end = winner.t2 + tail + 1
    last, began = winner.t2, winner.t1 <= t
    rivals = [
        chain
        for chain in live
        if (chain.t2 > last or chain.t1 > t or not began) and chain.t1 - head < end and chain is not winner
    ]
    return winner, _next_winner([winner, *rivals], t, params) if rivals else end


def _has_no_higher_mean(chain: Chain, winner: Chain) -> bool:
    return chain.c_sum * winner.n <= winner.c_sum * chain.n


def _is_ahead(chain: Chain, winner: Chain, t: int, params: Params) -> bool:
    """Whether a segment has a higher confidence, or, with the same, is the later one in canonical order.

    Both are valid at `t`. Ratios are compared exactly."""
    mean, best = chain.c_sum * winner.n, winner.c_sum * chain.n
    (left, span), (winner_left, winner_span) = _left(chain, t, params), _left(winner, t, params)
    lead = mean * left * winner_span - best * winner_left * span
    return lead > 0 or (lead == 0 and chain > winner)


def _left(chain: Chain, t: int, params: Params) -> tuple[int, int]:
    """What is left at `t` of the mean confidence, as numerator and denominator."""
    if t < chain.t1:
        return params.pre - (chain.t1 - t), params.pre
    if t > chain.t2:
        return params.post - (t - chain.t2), params.post
    return 1, 1


def _next_winner(chains: Iterable[Chain], t: int, params: Params) -> int | None:
    """Exactly; values are replaced by ranks so that every segment counts as a value of its own."""
    ranked = [
        Segment(chain.t1, chain.t2, chain.c_sum, chain.n, rank.to_bytes(4, "big"))
        for rank, chain in enumerate(sorted(chains))
    ]
    return next_change(ranked, t, Params(params.pre, params.post))
