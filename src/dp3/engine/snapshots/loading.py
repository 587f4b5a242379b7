"""Reads what snapshots are made of: entities with their profiles, mirrors and newest rows."""

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from dp3.common.utils import batched
from dp3.engine.snapshots.correlate import Member, Unit
from dp3.engine.snapshots.plans import SnapshotPlans
from dp3.engine.snapshots.runs import State
from dp3.engine.snapshots.values import NO_MIRRORS, NO_PROFILE, eid_order
from dp3.store.port import ProfileRows
from dp3.store.snapshots import Node, StoredSnapshot

FIRST_PAGE, LARGEST_PAGE = 100, 500

READ_TARGET_S = 0.015
"""How long reading a page should take, so that a slice has time left to work on it."""

Entity = tuple[int, int, str]
"""(key, number of the entity type, eid as text)."""

Mirrors = Mapping[str, list[Any]]


class Loader:
    """Reads for the moment `at` (µs)."""

    def __init__(self, state: State, plans: SnapshotPlans, at: int) -> None:
        self._state = state
        self._plans = plans
        self._at = at
        self.page = FIRST_PAGE
        """How many entities to read at once."""

    def latest(self, entities: Sequence[int]) -> dict[int, StoredSnapshot]:
        """The newest rows of entities (keys)."""
        return self._state.latest_rows(entities)

    def members(self, entities: Sequence[Entity]) -> list[Member]:
        """Entities of known types; those deleted meanwhile are left out, key 0 is one that does not exist."""
        types = self._plans.types
        started = time.perf_counter()
        profiles = self._state.profiles([key for key, _, _ in entities if key])
        self._learn(len(entities), time.perf_counter() - started)
        mirrors = self._mirrors(entities)
        return [
            Member(key, plan, plan.values.eid(eid), profile, mirrors.get((etype, eid), NO_MIRRORS))
            for key, etype, eid in entities
            if (plan := types.get(etype)) and (profile := _profile(profiles, key))
        ]

    def _learn(self, entities: int, elapsed_s: float) -> None:
        """Adapt the page: entities with long histories are read in smaller ones."""
        fitting = entities * READ_TARGET_S / max(elapsed_s, 1e-6)
        if fitting < self.page or entities >= self.page:
            self.page = max(1, min(int(fitting), self.page + self.page // 2 + 1, LARGEST_PAGE))

    def components(self, groups: Sequence[Sequence[int]]) -> Iterator[list[Unit] | None]:
        """Components of linked entities, given as nodes. Yields None while it reads, at last all of them."""
        nodes: dict[int, Node] = {}
        for ids in batched((node for group in groups for node in group), LARGEST_PAGE):
            nodes |= self._state.nodes(ids)
            yield None
        members: dict[tuple[str, Any], Member] = {}
        left = iter(nodes.values())
        while page := list(islice(left, self.page)):
            for member in self.members([(node.entity, node.etype, node.eid) for node in page]):
                members[member.plan.etype, member.eid] = member
            yield None
        yield [self._unit(group, nodes, members) for group in groups]

    def _unit(
        self, group: Sequence[int], nodes: Mapping[int, Node], members: Mapping[tuple[str, Any], Member]
    ) -> Unit:
        names = []
        for node in group:
            if node in nodes and (plan := self._plans.types.get(nodes[node].etype)):
                names.append((plan.etype, plan.values.eid(nodes[node].eid)))
        names.sort(key=lambda name: (name[0], eid_order(name[1])))
        return Unit([members[name] for name in names if name in members], linked=True)

    def _mirrors(self, entities: Sequence[Entity]) -> dict[tuple[int, str], Mirrors]:
        types = self._plans.types
        targets = [(etype, eid) for _, etype, eid in entities if etype in types and types[etype].mirrors]
        if not targets:
            return {}
        attrs = sorted({attr for etype, _ in targets for attr in types[etype].mirrors})
        found = self._state.incoming(targets, attrs, self._at)
        return {target: self._mirrors_of(target[0], sources) for target, sources in found.items()}

    def _mirrors_of(self, etype: int, sources: Sequence[tuple[int, int, str]]) -> Mirrors:
        """The values of mirror attributes, sources in the order of their ids."""
        names = self._plans.types[etype].mirrors
        eids: dict[str, list[Any]] = {}
        for attr, source_type, eid in sources:
            plan = self._plans.types.get(source_type)
            if plan is not None and attr in names:
                eids.setdefault(names[attr], []).append(plan.values.eid(eid))
        return {name: [{"eid": eid} for eid in sorted(found, key=eid_order)] for name, found in eids.items()}


def _profile(profiles: Mapping[int, ProfileRows], key: int) -> ProfileRows | None:
    return profiles.get(key) if key else NO_PROFILE
