"""One worker's part of the work of a run: looks at all entities that may have changed, has their snapshots
made and written."""

import logging
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from functools import partial
from itertools import chain, islice
from typing import TypeAlias

from dp3.common.utils import batched
from dp3.engine.context import Context
from dp3.engine.jobs.job import Work
from dp3.engine.jobs.snapshots.components import Components, ComponentSearch
from dp3.engine.jobs.snapshots.correlate import Correlator, Unit, UnitResult
from dp3.engine.jobs.snapshots.dirty import DirtySearch
from dp3.engine.jobs.snapshots.loading import LARGEST_PAGE, Entity, Loader, Member, Stored
from dp3.engine.jobs.snapshots.plans import SnapshotPlans
from dp3.engine.jobs.snapshots.values import eid_order
from dp3.engine.jobs.snapshots.writing import BackgroundIo, NewSnapshot, RunWriter
from dp3.engine.jobs.thread_pool import HookThreads
from dp3.store.ports.entities import ENTITY_SHIFT
from dp3.store.ports.runs import Phase

UNIT_SIZE = 10
"""Entities that are processed at once, if groups are small. Hooks that wait take a thread for each unit."""

LinkedPage: TypeAlias = tuple[Sequence[int], Sequence[Sequence[int]], int | None]
"""Nodes that are read at once. With the last ones of some components come these, as nodes, and the smallest
entity key of the last component."""

logger = logging.getLogger(__name__)


class Stage(IntEnum):
    """The parts of the work, in their order: entities without hooks, those with hooks but no links, and those
    that are linked."""

    FREE = 0
    HOOKED = 1
    LINKED = 2


class RunWork:
    """The work of one run. `steps` does it in pieces of some milliseconds and goes on where the checkpoint of
    the writer says, which has the offsets in the log up to which the run sees the data."""

    def __init__(
        self,
        context: Context,
        plans: SnapshotPlans,
        correlator: Correlator,
        threads: HookThreads,
        io: BackgroundIo,
        writer: RunWriter,
    ) -> None:
        self._context = context
        self._state = context.store
        self._lease = context.lease
        self._plans = plans
        self._correlator = correlator
        self._division = correlator.division
        self._threads = threads
        self._io = io
        self._writer = writer
        self._run = writer.run
        self._loader = Loader(self._state, plans, self._run.time)
        self._search = ComponentSearch(self._state, self._lease, plans, threads, io)

    def steps(self) -> Work:
        """Do all that is left to do."""
        self._threads.forget()
        dirty = DirtySearch(self._context, self._plans, self._run.time, self._writer.checkpoint.offsets)
        if not dirty.is_comparable:
            self._writer.renew_index()
        components = yield from self._search.of(self._run)
        self._writer.report(
            components=sum(map(self._is_own, components.firsts)),
            too_large=[size for first, size in components.too_large if self._is_own(first)],
        )
        if (after := self._left_of(Stage.FREE)) is not None:
            yield from self._do_free(dirty, components, after)
        if (after := self._left_of(Stage.HOOKED)) is not None:
            yield from self._do_hooked(components, after)
        if (after := self._left_of(Stage.LINKED)) is not None:
            yield from self._do_linked(components, after)
        self._writer.complete(Phase.WORK, dirty.watermarks())

    def _left_of(self, stage: Stage) -> int | None:
        """The entity key up to which a stage is done, None if all of it is."""
        reached = self._writer.checkpoint
        if reached.stage > stage:
            return None
        return reached.after if reached.stage == stage else 0

    def report_lost(self, workers: Container[int]) -> Work:
        """Note that own entities have no snapshot if those that should have made it are lost. Called in the
        last phase."""
        components = yield from self._search.of(self._run)
        processes, free = self._lease.worker_processes, frozenset(self._plans.free)
        for first, ids in components.after(0):
            if (first >> ENTITY_SHIFT) % processes in workers:
                nodes = self._state.links.nodes(ids).values()
                own = [node for node in nodes if node.entity and self._is_own(node.entity)]
                self._writer.without([node.entity for node in own])
                self._writer.look_again(node.entity for node in own if node.etype in free)
                yield None

    # -- entities without hooks ------------------------------------------------------------------------
    def _do_free(self, dirty: DirtySearch, components: Components, after: int) -> Work:
        free = self._division.free
        if not free:
            return
        yield from dirty.find(components)
        if dirty.everything:
            pages = self._own_pages(free, after)
        else:
            pages = self._known_pages(sorted(key for key in dirty.keys if key > after))
        for page in self._unlinked(pages, components):
            members = self._members(page, self._loader.stored(page))
            yield None
            yield from self._writer.put(
                [
                    NewSnapshot(one.entity, one.plan.id, of.doc, one.before, of.next_change)
                    for one in members.values()
                    if (of := one.computed) is not None
                ]
            )
            self._writer.reach(Stage.FREE, page[-1][0])
            self._io.go_on()
            yield None

    def _known_pages(self, keys: Iterable[int]) -> Iterator[list[Entity]]:
        """Entities, of these keys, that exist and have no hooks."""
        free, left = frozenset(self._division.free), iter(keys)
        while page := list(islice(left, self._loader.page)):
            found = self._state.entities.by_key(page)
            entities = [(key, etype, eid) for key, (etype, eid, _) in sorted(found.items()) if etype in free]
            if entities:
                yield entities

    # -- entities with hooks but no links --------------------------------------------------------------
    def _do_hooked(self, components: Components, after: int) -> Work:
        pages = self._unlinked(self._own_pages(self._division.hooked, after), components)
        for entities in pages:
            members = self._members(entities, self._loader.stored(entities))
            yield None
            yield from self._do_units([[member] for member in members.values()], linked=False)
            self._writer.reach(Stage.HOOKED, entities[-1][0])
            yield None

    def _own_pages(self, etypes: Sequence[int], after: int) -> Iterator[list[Entity]]:
        """All own entities of some types."""
        left = bool(etypes)
        while left:
            size = self._loader.page
            if page := self._state.entities.own(self._lease, etypes, after, size):
                yield page
                after = page[-1][0]
            left = len(page) == size

    def _unlinked(self, pages: Iterable[list[Entity]], components: Components) -> Iterator[list[Entity]]:
        """Entities, of these, that are in no component, a page at a time. Those that came too late for that
        to be known are left to the next run."""
        free = self._plans.free
        entities: list[Entity] = []
        for page in pages:
            if self._plans.links:
                keys = [key for key, _, _ in page]
                new, linked = components.newer(keys), components.known(keys)
                self._writer.look_again(key for key, etype, _ in page if key in new and etype in free)
                page = [entity for entity in page if entity[0] not in linked and entity[0] not in new]
            entities += page
            if len(entities) >= (size := self._loader.page):
                yield entities[:size]
                entities = entities[size:]
        if entities:
            yield entities

    # -- linked entities -------------------------------------------------------------------------------
    def _do_linked(self, components: Components, after: int) -> Work:
        members: dict[int, Member] = {}
        pages = self._linked_pages(components, after)
        for nodes, groups, last in pages:
            entities, stored = self._loader.linked(nodes, components)
            found = self._members(entities.values(), stored)
            members |= {node: found[entity] for node, entity in entities.items() if entity in found}
            yield None
            if last is not None:
                yield from self._do_units([_group(nodes, members) for nodes in groups], linked=True)
                self._writer.reach(Stage.LINKED, last)
                members.clear()
                yield None

    def _linked_pages(self, components: Components, after: int) -> Iterator[LinkedPage]:
        for groups, last in self._groups(components, after):
            *pages, rest = batched(chain.from_iterable(groups), LARGEST_PAGE)
            yield from ((nodes, (), None) for nodes in pages)
            yield rest, groups, last

    def _groups(self, components: Components, after: int) -> Iterator[tuple[list[Sequence[int]], int]]:
        """Own components, a page of entities at a time, each with the smallest entity key of its last one."""
        groups: list[Sequence[int]] = []
        size = last = 0
        for first, nodes in components.after(after):
            if self._is_own(first):
                groups.append(nodes)
                size, last = size + len(nodes), first
            if size >= self._loader.page:
                yield groups, last
                groups, size = [], 0
        if groups:
            yield groups, last

    # -- all of them -----------------------------------------------------------------------------------
    def _members(self, entities: Collection[Entity], stored: Stored) -> dict[Entity, Member]:
        members, failed = self._loader.members(entities, stored)
        if failed:
            free = self._plans.free
            self._writer.without([key for key, _, _ in failed], failed=True)
            self._writer.look_again(key for key, etype, _ in failed if etype in free)
        return members

    def _do_units(self, groups: Iterable[Sequence[Member]], linked: bool) -> Work:
        units = list(_units(groups))
        result = UnitResult()
        if self._threads.may_wait:
            self._io.go_on()  # what is done is not to wait for slow hooks
        yield from self._io.written()  # hooks do not run beside a transaction
        with self._correlator.attempts.under_way():
            yield from self._threads.process(units, partial(self._process, linked), result)
        self._io.go_on()
        for snapshots in batched(result.snapshots, LARGEST_PAGE):
            yield from self._writer.put(snapshots)
            yield None
        self._writer.without(result.without)
        self._writer.without(result.failed, failed=True)
        self._writer.look_again(_free_ones({*result.without, *result.failed}, units))
        self._writer.add_effects(result.effects)

    def _process(self, linked: bool, unit: Unit) -> UnitResult:
        """Process a unit. Called by one of the threads."""
        try:
            return self._correlator.process(unit, linked)
        except Exception:
            if len(unit) > 1:
                return self._process_alone(linked, unit)
            (members,) = unit
            names = [f"{member.plan.etype}/{member.eid}" for member in members[:3]]
            logger.exception("no snapshots of %d entities in this run: %s, …", len(members), names)
            return UnitResult(failed=[member.entity for member in members if member.entity])

    def _process_alone(self, linked: bool, unit: Unit) -> UnitResult:
        """Each group for itself, so that a failure that is not of a hook stays with its group."""
        result = UnitResult()
        for group in unit:
            result.add(self._process(linked, [group]))
        return result

    def _is_own(self, entity: int) -> bool:
        return self._lease.owns_entity(entity)


def _group(nodes: Iterable[int], members: Mapping[int, Member]) -> list[Member]:
    found = [members[node] for node in nodes if node in members]
    found.sort(key=lambda member: (member.plan.etype, eid_order(member.eid)))
    return found


def _units(groups: Iterable[Sequence[Member]]) -> Iterator[Unit]:
    """Some groups at a time: what there is to do for each unit counts for little then."""
    some: list[Sequence[Member]] = []
    size = 0
    for group in groups:
        some.append(group)
        size += len(group)
        if size >= UNIT_SIZE:
            yield some
            some, size = [], 0
    if some:
        yield some


def _free_ones(entities: Collection[int], units: Iterable[Unit]) -> Iterator[int]:
    """Entities, of these keys, for which no hooks run; others are looked at in every run."""
    groups = chain.from_iterable(units if entities else ())
    for member in chain.from_iterable(groups):
        if member.entity in entities and member.plan.stored and not member.plan.hooked:
            yield member.entity
