"""Which old parts of a stretch become one part, so that what never ends has not ever more of them. Pure."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

from dp3.history import Params, Segment
from dp3.history.shown import Finder, Shown, depends_on_others


def old_parts(
    packed: Sequence[Segment], shown: Shown, kept: Collection[int], limit: int, params: Params
) -> list[list[int]]:
    """Which packed parts, in the order of time, become one: those of a stretch that stays which ended before
    the limit. No data-point that begins later can be seen to be in between."""
    if not params.aggregate:
        return []
    stretch = shown.of_packed
    old = [at for at, part in enumerate(packed) if part.t2 < limit and stretch[at] in kept]
    if len({stretch[at] for at in old}) == len(old):
        return []
    group = _groups(packed, shown, kept, old) if depends_on_others(params) else stretch
    groups: Mapping[int, list[int]] = defaultdict(list)
    for at in sorted(old, key=lambda at: packed[at]):
        groups[group[at]].append(at)
    return [some for some in groups.values() if len(some) > 1]


def _groups(
    packed: Sequence[Segment], shown: Shown, kept: Collection[int], old: Sequence[int]
) -> Mapping[int, int]:
    """Old part → number of its group, where the moments matter at which other values begin: they keep apart.
    The moments of a stretch follow each other, but other stretches may have the same ones. So a moment goes
    with all that begins at it, or for none; and the one after a stretch stays, which may keep it apart from a
    later one of its value."""
    united = [(part, number) for part, number in shown.united if number in kept]
    finder = Finder([part for part, _ in united])
    holder = {at: finder.number(packed[at]) for at in old}
    stay = _moments_that_stay(united, set(holder.values()))
    groups, last = list[int](), dict[int, int]()
    for at, (part, number) in enumerate(united):
        last[number] = at if part.t1 in stay else last[number]
        groups.append(last[number])
    return {at: groups[place] for at, place in holder.items()}


def _moments_that_stay(united: Sequence[tuple[Segment, int]], old: Collection[int]) -> set[int]:
    """Those at which something begins that can not be joined to what is before it in its stretch: that are
    not both among the old ones. And those after the last of a stretch."""
    stay, before = set[int](), dict[int, int]()
    for at, (part, number) in enumerate(united):
        if at not in old or before.get(number) not in old:
            stay.add(part.t1)
        before[number] = at
    ends = {united[at][0].t1 for at in before.values()}
    moments = sorted({part.t1 for part, _ in united})
    return stay | {following for moment, following in pairwise(moments) if moment in ends}
