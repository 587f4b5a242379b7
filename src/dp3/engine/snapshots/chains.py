"""The canonical form of one attribute's history, in one pass over its rows.

The result is that of `dp3.history.canonical`, made for runs over many entities. One pass is enough: in the
order of `t1`, whether a row continues a united segment depends on earlier rows only, so the starts of
united segments, which decide on bridging, become known in their order.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TypeAlias

import msgspec

from dp3.history import Params
from dp3.store.snapshots import Hex, Observed


class Chain(msgspec.Struct, order=True, gc=False):
    """A canonical segment; chains compare in canonical order. `moment` numbers the start of the last united
    segment in it among all starts."""

    t1: int
    t2: int
    v: Hex
    c_sum: int
    n: int
    moment: int = 0


Row: TypeAlias = tuple[int, int, int, Hex]
"""`t1`, `t2` (µs), confidence (10⁻⁹), value."""


def rows_of(observed: Observed) -> Iterator[Row]:
    """Single observations of an attribute, by `t1`."""
    values = iter(observed)
    next(values)
    return zip(values, values, values, values, strict=True)


def observed_of(attr: int, rows: Iterable[Row]) -> Observed:
    """The inverse, of rows in any order."""
    return [attr, *chain.from_iterable(sorted(rows))]


def chains_of(observed: Observed, params: Params) -> list[Chain]:
    """The canonical segments of the history of an attribute, by `t1` (equal ones in any order)."""
    rows = rows_of(observed)
    if not params.aggregate:
        return sorted(Chain(t1, t2, v, c, 1) for t1, t2, c, v in rows)
    return _joined(rows, params.pre + params.post, not params.multi_value)


def _joined(rows: Iterable[Row], reach: int, separate: bool) -> list[Chain]:
    """`separate`: another value that starts in a gap keeps its neighbours apart."""
    chains: list[Chain] = []
    last: dict[Hex, Chain] = {}
    moment, start = 0, None
    for t1, t2, c, v in rows:
        known = last.get(v)
        if known is None or t1 > known.t2:
            if t1 != start:
                moment, start = moment + 1, t1
            if known is None or t1 - known.t2 > reach or (separate and moment - known.moment > 1):
                last[v] = known = Chain(t1, t2, v, c, 1, moment)
                chains.append(known)
                continue
            known.moment = moment
        if t2 > known.t2:
            known.t2 = t2
        known.c_sum += c
        known.n += 1
    return chains
