"""The canonical form of one attribute's history, in one pass over its rows.

The result is that of `dp3.history.canonical`, made for runs over many entities. One pass is enough: in the
order of `t1`, whether a row continues a united segment depends on earlier rows only, so the starts of
united segments, which decide on bridging, become known in their order.
"""

from collections.abc import Iterable

import msgspec

from dp3.history import Params
from dp3.store.ports.entities import Observed, Token


class Chain(msgspec.Struct, order=True, gc=False):
    """A canonical segment; chains compare in canonical order. `moment` numbers the start of the last united
    segment in it among all starts."""

    t1: int
    t2: int
    v: Token
    c_sum: int
    n: int
    moment: int = 0


def chains_of(rows: Iterable[Observed], params: Params) -> list[Chain]:
    """The canonical segments of the history of one attribute, by `t1` (equal ones in any order)."""
    if not params.aggregate:
        return sorted(Chain(t1, t2, v, c, n) for t1, t2, c, v, n in rows)
    return _joined(sorted(rows), params.pre + params.post, not params.multi_value)


def _joined(rows: Iterable[Observed], reach: int, separate: bool) -> list[Chain]:
    """`rows` are sorted. `separate`: another value that starts in a gap keeps its neighbours apart."""
    chains: list[Chain] = []
    last: dict[Token, Chain] = {}
    moment, start = 0, None
    for t1, t2, c, v, n in rows:
        chain = last.get(v)
        if chain is None or t1 > chain.t2:
            if t1 != start:
                moment, start = moment + 1, t1
            if chain is None or t1 - chain.t2 > reach or (separate and moment - chain.moment > 1):
                last[v] = chain = Chain(t1, t2, v, c, n, moment)
                chains.append(chain)
                continue
            chain.moment = moment
        if t2 > chain.t2:
            chain.t2 = t2
        chain.c_sum += c
        chain.n += n
    return chains
