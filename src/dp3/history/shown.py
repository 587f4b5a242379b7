"""The stretches that readers see, and which stored parts each is made of. Pure."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dp3.history import Params, Segment, bridge, unite


@dataclass(frozen=True, slots=True)
class Shown:
    """Stretches as readers see them, by number. Of which stretch each packed part is; which ones have parts
    that are not packed; and, where that matters, what they are joined of: (united, number of the stretch)."""

    stretches: list[Segment]
    of_packed: list[int]
    unpacked: frozenset[int]
    united: list[tuple[Segment, int]]


def show(packed: list[Segment], fresh: list[Segment], params: Params) -> Shown:
    parts = packed + fresh
    if not params.aggregate:
        numbers = list(range(len(parts)))
        return Shown(parts, numbers[: len(packed)], frozenset(numbers[len(packed) :]), [])
    united = unite(parts)
    stretches = bridge(united, params) if params.pre + params.post else united
    finder = Finder(stretches)
    return Shown(
        stretches,
        list(map(finder.number, packed)),
        frozenset(map(finder.number, fresh)),
        [(part, finder.number(part)) for part in united] if depends_on_others(params) else [],
    )


class Finder:
    """Finds the stretch that a part belongs to. Those of one value have no moment in common."""

    def __init__(self, stretches: Sequence[Segment]) -> None:
        self._begins: Mapping[bytes, list[int]] = defaultdict(list)
        self._numbers: Mapping[bytes, list[int]] = defaultdict(list)
        for number, stretch in enumerate(stretches):
            self._begins[stretch.v].append(stretch.t1)
            self._numbers[stretch.v].append(number)

    def number(self, part: Segment) -> int:
        return self._numbers[part.v][bisect_right(self._begins[part.v], part.t1) - 1]


def depends_on_others(params: Params) -> bool:
    """Whether it depends on other values what of one value is joined."""
    return params.aggregate and not params.multi_value and params.pre + params.post > 0
