"""What a run may make of entities while data arrives. That is not unique: hooks see each entity as it was at
some moment of the run, together with those to which links led at some moment of it, the same for all.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from naive_rules import Made, Rules, Told
from naive_world import Doc, Ref, World

Tasks = Counter[Told]


@dataclass(slots=True)
class Witness:
    """Of a run at `time` that was begun with `rules`: how the world was at its beginning and after everything
    that happened in its midst, who was deleted meanwhile, which tasks hooks returned. `around`: what hooks
    return that are called before and after it; `at_its_end`: what those of later workers would return."""

    rules: Rules
    time: int
    worlds: list[World]
    around: list[Tasks]
    at_its_end: list[Tasks] = field(default_factory=list)
    deleted: set[Ref] = field(default_factory=set)
    tasks: Tasks = field(default_factory=Counter)

    def explains(self, shown: Mapping[Ref, Doc], *, complete: bool) -> bool:
        """Whether these snapshots and the tasks can be what the run made. All of what it should have made,
        each once, if it is complete; else for some entities both snapshots and tasks may be missing."""
        if complete:
            around = [[tasks] for tasks in self.around]
        else:
            around = [[tasks, Counter()] for tasks in self.around + self.at_its_end]
        return any(
            _add_up(self.tasks, [*around, *self._parts(structure, shown, complete)])
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
            yield [tasks for i, tasks in enumerate(possible) if tasks not in possible[:i]]

    def _possible(self, group: frozenset[Ref], linked: bool) -> Iterator[Made]:
        refs = sorted(group)
        for worlds in product(*(self._versions(ref) for ref in refs)):
            chosen = dict(zip(refs, worlds, strict=True))
            yield self.rules.made_of(group, linked, chosen.__getitem__, self.time)

    def _versions(self, ref: Ref) -> Sequence[World | None]:
        versions: list[World | None] = [None] if ref in self.deleted else []
        seen: list[object] = []
        for world in self.worlds:
            if (version := self.rules.version(world, ref, self.time)) not in seen:
                seen.append(version)
                versions.append(world)
        return versions

    def _fits(self, made: Made, group: Iterable[Ref], shown: Mapping[Ref, Doc], lost: set[Ref]) -> bool:
        """Whether all of the group that is shown, and all that must be, is as it was made."""
        return all(made.docs.get(ref) == shown.get(ref) for ref in group if ref in shown or ref not in lost)


def _add_up(total: Tasks, parts: Sequence[Sequence[Tasks]]) -> bool:
    """Whether the total is made of one of each part."""
    if not all(parts):
        return False
    if not parts:
        return not total
    return any(part <= total and _add_up(total - part, parts[1:]) for part in parts[0])
