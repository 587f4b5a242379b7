"""Reads what snapshots are made of: entities with their profiles, mirrors and newest rows."""

import logging
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from typing import Any, NamedTuple, TypeAlias, TypeVar

from dp3.engine.jobs.snapshots.correlate import Member
from dp3.engine.jobs.snapshots.plans import SnapshotPlans, SnapshotType
from dp3.engine.jobs.snapshots.values import NO_MIRRORS, NO_PROFILE, compute, eid_order
from dp3.store.ports.entities import EncodedProfile, Profile
from dp3.store.ports.snapshots import StoredSnapshot
from dp3.store.ports.state import State

FIRST_PAGE, LARGEST_PAGE = 100, 400

PAGE_BYTES = 1_500_000
"""Of profiles in a page, some 25 000 observations: reading them takes 10 ms."""

Entity: TypeAlias = tuple[int, int, str]
"""(key, number of the entity type, eid as text)."""

Mirrors: TypeAlias = Mapping[str, list[Any]]

Profiles: TypeAlias = Mapping[int, EncodedProfile]


class Linked(NamedTuple):
    """The entities that nodes stand for, by the ids of the nodes, and the profiles of those that exist."""

    entities: dict[int, Entity]
    profiles: Profiles


class Loaded(NamedTuple):
    """Members, and those whose values could not be computed."""

    members: dict[Entity, Member]
    failed: list[Entity]


Page = TypeVar("Page")
Found = TypeVar("Found")

logger = logging.getLogger(__name__)


def ahead(pages: Iterable[Page], fetch: Callable[[Page], Found]) -> Iterator[tuple[Page, Found]]:
    """Each page with what was begun to be fetched for it while the one before was worked on."""
    previous: tuple[Page, Found] | None = None
    for page in pages:
        current = (page, fetch(page))
        if previous is not None:
            yield previous
        previous = current
    if previous is not None:
        yield previous


class Loader:
    """Reads for the moment `at` (µs); profiles in a thread of `reader`."""

    def __init__(self, state: State, plans: SnapshotPlans, reader: Executor, at: int) -> None:
        self._state = state
        self._plans = plans
        self._reader = reader
        self._at = at
        self.page = FIRST_PAGE
        """How many entities to read at once."""

    def latest(self, entities: Sequence[int]) -> dict[int, StoredSnapshot]:
        """The newest rows of entities (keys)."""
        return self._state.snapshots.latest(entities)

    def profiles(self, entities: Sequence[Entity]) -> Future[dict[int, EncodedProfile]]:
        """Begin to read the profiles of entities; key 0 is one that does not exist."""
        keys = [key for key, _, _ in entities if key]
        return self._reader.submit(self._state.entities.profiles, keys, self._plans.whole)

    def linked(self, ids: Sequence[int], known: Container[int]) -> Future[Linked]:
        """Begin to read what nodes of links are, and the profiles of those that exist. Entities (keys) that
        were not `known` when the graph was made do not."""
        return self._reader.submit(self._read_linked, ids, known)

    def _read_linked(self, ids: Sequence[int], known: Container[int]) -> Linked:
        entities = {
            node.id: (node.entity if node.entity in known else 0, node.etype, node.eid)
            for node in self._state.links.nodes(ids).values()
        }
        keys = [key for key, _, _ in entities.values() if key]
        return Linked(entities, self._state.entities.profiles(keys, self._plans.whole))

    def members(self, entities: Collection[Entity], profiles: Profiles) -> Loaded:
        """Entities of known types, with their values; those deleted meanwhile are left out."""
        types = self._plans.types
        self._learn(len(entities), sum(map(len, profiles.values())))
        mirrors = self._mirrors(entities)
        loaded = Loaded({}, [])
        for entity in entities:
            key, etype, eid = entity
            plan = types.get(etype)
            if plan is None or (key and key not in profiles):
                continue
            try:
                profile = self._state.entities.decode_profile(profiles[key]) if key else NO_PROFILE
                of_entity = mirrors.get((etype, eid), NO_MIRRORS)
                loaded.members[entity] = self._member(key, plan, eid, profile, of_entity)
            except Exception:
                logger.exception("no snapshot of %s/%s in this run", plan.etype, eid)
                if key:
                    loaded.failed.append(entity)
        return loaded

    def _member(self, key: int, plan: SnapshotType, text: str, profile: Profile, mirrors: Mirrors) -> Member:
        eid = plan.values.eid(text)
        computed = None if plan.timeseries else compute(eid, profile, plan.values, self._at, mirrors)
        return Member(key, plan, eid, profile if self._plans.whole else NO_PROFILE, mirrors, computed)

    def _learn(self, entities: int, size: int) -> None:
        """Adapt the page: entities with long histories are read in smaller ones."""
        fitting = entities * PAGE_BYTES // max(size, 1)
        if fitting < self.page or entities >= self.page:
            self.page = max(1, min(fitting, self.page + self.page // 2 + 1, LARGEST_PAGE))

    def _mirrors(self, entities: Iterable[Entity]) -> dict[tuple[int, str], Mirrors]:
        types = self._plans.types
        targets = [(etype, eid) for _, etype, eid in entities if etype in types and types[etype].mirrors]
        if not targets:
            return {}
        attrs = sorted({attr for etype, _ in targets for attr in types[etype].mirrors})
        found = self._state.links.incoming(targets, attrs, self._at)
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
