"""What a run may make of entities while data arrives. That is not unique: hooks see each entity as it was at
some moment of the run, together with those to which links led at another moment of it, the same for all.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, product, starmap
from typing import TypeVar

from naive_rules import Made, Rules, Seen, Told
from naive_world import Doc, Ref, World

Tasks = Counter[Told]

T = TypeVar("T")


@dataclass(slots=True)
class Witness:
    """Of a run at `time` that was begun with `rules`: how the world was at its beginning and after all that
    happened in its midst, who was deleted meanwhile, which tasks hooks returned. `first` and `last`: what is
    returned by hooks before and after it; there are several `last` if workers were started that are not like
    those that began."""

    rules: Rules
    time: int
    worlds: list[World]
    first: list[Tasks]
    last: list[list[Tasks]]
    deleted: set[Ref] = field(default_factory=set)
    tasks: Tasks = field(default_factory=Counter)

    def explains(self, shown: Mapping[Ref, Doc], *, complete: bool) -> bool:
        """Whether these snapshots and the tasks can be what the run made. All of what it should have made,
        each once, if it is complete; else for some entities both snapshots and tasks may be missing."""
        first = _parts_of(self.first, certain=complete)
        last = _parts_of(chain(*self.last), certain=complete and len(self.last) == 1)
        return any(
            _add_up(self.tasks, [*first, *last, *self._parts(structure, shown, complete)])
            for structure in self.worlds
        )

    def _parts(self, structure: World, shown: Mapping[Ref, Doc], complete: bool) -> Iterator[list[Tasks]]:
        """For entities that hooks see together: what these may have returned if that is what is shown."""
        everyone = {ref for world in self.worlds for ref in world.profiles}
        lost = self.deleted if complete else everyone
        for group, linked in self.rules.groups(structure, self.time, everyone):
            possible = [
                made.tasks for made in self._possible(group, linked) if self._fits(made, group, shown, lost)
            ]
            if not complete and shown.keys().isdisjoint(group):
                possible.append(Counter())
            yield _distinct(possible)

    def _possible(self, group: Iterable[Ref], linked: bool) -> Iterator[Made]:
        refs = sorted(group)
        for chosen in product(*(self._ways_to_see(ref) for ref in refs)):
            seen = {ref: one for ref, one in zip(refs, chosen, strict=True) if one is not None}
            yield self.rules.made_of(seen, linked, self.time)

    def _ways_to_see(self, ref: Ref) -> Sequence[Seen | None]:
        """What was known of an entity at one moment, with those that linked to it at another; nothing at the
        very moment of its deletion."""
        seen = [self.rules.seen(world, ref, self.time) for world in self.worlds]
        profiles, mirrors = _distinct(one.profile for one in seen), _distinct(one.mirrors for one in seen)
        gone = [None] if ref in self.deleted else []
        return [*gone, *starmap(Seen, product(profiles, mirrors))]

    def _fits(self, made: Made, group: Iterable[Ref], shown: Mapping[Ref, Doc], lost: set[Ref]) -> bool:
        """Whether all of the group that is shown, and all that must be, is as it was made."""
        return all(made.docs.get(ref) == shown.get(ref) for ref in group if ref in shown or ref not in lost)


def _distinct(all_: Iterable[T]) -> list[T]:
    found: list[T] = []
    found.extend(one for one in all_ if one not in found)
    return found


def _parts_of(returned: Iterable[Tasks], *, certain: bool) -> list[list[Tasks]]:
    return [[tasks] if certain else [tasks, Counter()] for tasks in returned]


def _add_up(total: Tasks, parts: Sequence[Sequence[Tasks]]) -> bool:
    """Whether the total is made of one of each part."""
    if not all(parts):
        return False
    if not parts:
        return not total
    return any(part <= total and _add_up(total - part, parts[1:]) for part in parts[0])
