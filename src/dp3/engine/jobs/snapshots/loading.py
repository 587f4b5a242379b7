"""Reads what snapshots are made of: entities with their profiles, mirrors and current values."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec

from dp3.engine.jobs.snapshots.components import Components
from dp3.engine.jobs.snapshots.plans import SnapshotPlans, SnapshotType
from dp3.engine.jobs.snapshots.values import NO_MIRRORS, NO_PROFILE, Computed, compute, eid_order, told
from dp3.store.ports.entities import EncodedProfile, Profile
from dp3.store.ports.state import State

FIRST_PAGE, LARGEST_PAGE = 100, 400

PAGE_BYTES = 1_500_000
"""Of profiles in a page, some 25 000 observations: reading them takes 10 ms."""

Entity: TypeAlias = tuple[int, int, str]
"""(key, number of the entity type, eid as text)."""

Mirrors: TypeAlias = Mapping[str, list[Any]]

logger = logging.getLogger(__name__)


class Member(msgspec.Struct, frozen=True, gc=False):
    """An entity as it is loaded: `entity` is its key, 0 if it does not exist; `eid` is in wire form. Values
    that timeseries hooks contribute to are not `computed` yet; only what hooks see has its `profile`.
    `before` is the document of its newest row, if it has one."""

    entity: int
    plan: SnapshotType
    eid: int | str
    profile: Profile
    mirrors: Mirrors
    computed: Computed | None
    before: bytes | None


class Stored(NamedTuple):
    """The stored data of some entities, by their keys: the profiles of those that exist, and the documents of
    their newest rows."""

    profiles: Mapping[int, EncodedProfile]
    documents: Mapping[int, bytes]


class Loader:
    """Reads for the moment `at` (µs), a page at a time: what is current is little, so that a thread that read
    ahead would cost more than it saves."""

    def __init__(self, state: State, plans: SnapshotPlans, at: int) -> None:
        self._entities = state.entities
        self._links = state.links
        self._snapshots = state.snapshots
        self._plans = plans
        self._at = at
        self._whole = plans.hooks.whole
        self._mirrored = frozenset(number for number, plan in plans.types.items() if plan.mirrors)
        self.page = FIRST_PAGE
        """So many entities are to be read at once."""

    def stored(self, entities: Sequence[Entity]) -> Stored:
        """The stored data of entities; key 0 is one that does not exist."""
        return self._read([key for key, _, _ in entities if key])

    def linked(self, ids: Sequence[int], components: Components) -> tuple[dict[int, Entity], Stored]:
        """The entities that nodes of links stand for, by the ids of the nodes, and what is stored of those
        that exist. Entities that were not known when the components were found do not."""
        nodes = self._links.nodes(ids).values()
        known = components.known(node.entity for node in nodes)
        entities = {
            node.id: (node.entity if node.entity in known else 0, node.etype, node.eid) for node in nodes
        }
        return entities, self._read([key for key, _, _ in entities.values() if key])

    def _read(self, keys: Sequence[int]) -> Stored:
        profiles = self._entities.profiles(keys, self._whole, self._at)
        return Stored(profiles, self._snapshots.latest(keys))

    def members(
        self, entities: Collection[Entity], stored: Stored
    ) -> tuple[dict[Entity, Member], list[Entity]]:
        """Entities of known types, with their values; those deleted meanwhile are left out. The second ones
        are those whose values could not be computed."""
        types, (profiles, documents) = self._plans.types, stored
        self._learn(len(entities), sum(map(len, profiles.values())))
        mirrors = self._mirrors(entities)
        members: dict[Entity, Member] = {}
        failed = []
        for entity in entities:
            key, etype, eid = entity
            plan = types.get(etype)
            if plan is None or (key and key not in profiles):
                continue
            try:
                profile = self._profile(profiles[key], plan) if key else NO_PROFILE
                of_entity = mirrors.get((etype, eid), NO_MIRRORS) if mirrors else NO_MIRRORS
                members[entity] = self._member(key, plan, eid, profile, of_entity, documents.get(key))
            except Exception:
                logger.exception("no snapshot of %s/%s in this run", plan.etype, eid)
                if key:
                    failed.append(entity)
        return members, failed

    def _member(
        self,
        key: int,
        plan: SnapshotType,
        text: str,
        profile: Profile,
        mirrors: Mirrors,
        before: bytes | None,
    ) -> Member:
        eid = plan.values.eid(text)
        computed = None if plan.timeseries else compute(eid, profile, plan.values, self._at, mirrors)
        seen = profile if self._whole else NO_PROFILE
        return Member(key, plan, eid, seen, mirrors, computed, before)

    def _profile(self, encoded: EncodedProfile, plan: SnapshotType) -> Profile:
        profile = self._entities.decode_profile(encoded)
        return told(self._entities, profile, plan.values, self._at)

    def _learn(self, entities: int, size: int) -> None:
        """Adapt the page: entities with long histories are read in smaller ones."""
        fitting = entities * PAGE_BYTES // max(size, 1)
        if fitting < self.page or entities >= self.page:
            self.page = max(1, min(fitting, self.page + self.page // 2 + 1, LARGEST_PAGE))

    def _mirrors(self, entities: Iterable[Entity]) -> dict[tuple[int, str], Mirrors]:
        types = self._plans.types
        targets = [(etype, eid) for _, etype, eid in entities if etype in self._mirrored]
        if not targets:
            return {}
        attrs = sorted({attr for etype, _ in targets for attr in types[etype].mirrors})
        found = self._links.incoming(targets, attrs, self._at)
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
