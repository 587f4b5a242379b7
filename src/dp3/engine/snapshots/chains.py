"""The canonical form of one attribute's history, in one pass over its rows.

The result is that of `dp3.history.canonical`, made for runs over many entities. One pass is enough: in the
order of `t1`, whether a row continues a united segment depends on earlier rows only, so the starts of
united segments, which decide on bridging, become known in their order.
"""

from collections.abc import Iterable
from typing import TypeAlias

import msgspec

from dp3.history import Params

Row: TypeAlias = tuple[int, int, int, bytes]
"""`t1`, `t2` (µs), confidence (10⁻⁹), encoded value."""


class Chain(msgspec.Struct, order=True, gc=False):
    """A canonical segment; chains compare in canonical order. `moment` numbers the start of the last united
    segment in it among all starts."""

    t1: int
    t2: int
    v: bytes
    c_sum: int
    n: int
    moment: int = 0


def chains_of(rows: Iterable[Row], params: Params) -> list[Chain]:
    """The canonical segments of a history, by `t1` (equal ones in any order)."""
    if not params.aggregate:
        return sorted(Chain(t1, t2, v, c, 1) for t1, t2, c, v in rows)
    reach = params.pre + params.post
    separate = not params.multi_value
    chains: list[Chain] = []
    last: dict[bytes, Chain] = {}
    moment, start = 0, None
    for t1, t2, c, v in sorted(rows):
        chain = last.get(v)
        gap = 0 if chain is None else t1 - chain.t2
        if chain is None or gap > 0:
            if t1 != start:
                moment, start = moment + 1, t1
            if chain is None or gap > reach or (separate and moment - chain.moment > 1):
                last[v] = chain = Chain(t1, t2, v, c, 1, moment)
                chains.append(chain)
                continue
            chain.moment = moment
        if t2 > chain.t2:
            chain.t2 = t2
        chain.c_sum += c
        chain.n += 1
    return chains
