"""One worker's part of a run: looks at all entities that may have changed and writes their snapshots."""

import logging
from collections.abc import Collection, Container, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain, islice
from typing import Any, NamedTuple

from dp3.clock import Clock
from dp3.common.utils import batched
from dp3.engine.jobs.snapshots.calling import HookCaller
from dp3.engine.jobs.snapshots.components import ComponentBuilder, Components, decode_components
from dp3.engine.jobs.snapshots.correlate import Correlator, Member, Unit, UnitResult
from dp3.engine.jobs.snapshots.dirty import Cut, DirtySearch, is_comparable
from dp3.engine.jobs.snapshots.loading import LARGEST_PAGE, Entity, Loader, Profiles, ahead
from dp3.engine.jobs.snapshots.plans import SnapshotHooks, SnapshotPlans
from dp3.engine.jobs.snapshots.recording import Made, Recorder
from dp3.engine.jobs.snapshots.refresh import Flags, Refresher, divide
from dp3.engine.jobs.snapshots.values import eid_order
from dp3.engine.jobs.snapshots.writing import Writing
from dp3.engine.jobs.thread_pool import Crew
from dp3.engine.jobs.waiting import Wait, finished
from dp3.log.port import Log
from dp3.store.ports.entities import ENTITY_SHIFT
from dp3.store.ports.leases import Lease
from dp3.store.ports.runs import Phase, Run
from dp3.store.ports.snapshots import StoredSnapshot
from dp3.store.ports.state import State

EDGES = 1_000
"""Links that are read at once."""

UNIT_SIZE = 10
"""Entities that are processed at once, if groups are small. Hooks that wait take a thread for each unit."""

logger = logging.getLogger(__name__)


class Stage(IntEnum):
    """The parts of the work, in their order: entities without hooks, those with hooks but no links, and those
    that are linked."""

    FREE = 0
    HOOKED = 1
    LINKED = 2


class LinkedPage(NamedTuple):
    """Nodes that are read at once. With the last ones of some components come these, as nodes, and the
    smallest entity key of the last component."""

    nodes: Sequence[int]
    groups: Sequence[Sequence[int]]
    last: int | None


def _group(nodes: Iterable[int], members: Mapping[int, Member]) -> list[Member]:
    found = [members[node] for node in nodes if node in members]
    found.sort(key=lambda member: (member.plan.etype, eid_order(member.eid)))
    return found


def _units(groups: Iterable[Sequence[Member]], linked: bool) -> Iterator[Unit]:
    """Some groups at a time: what there is to do for each unit counts for little then."""
    some: list[Sequence[Member]] = []
    size = 0
    for group in groups:
        some.append(group)
        size += len(group)
        if size >= UNIT_SIZE:
            yield Unit(some, linked)
            some, size = [], 0
    if some:
        yield Unit(some, linked)


@dataclass(frozen=True, slots=True)
class WorkParts:
    """What the work of all runs needs."""

    state: State
    log: Log
    clock: Clock
    lease: Lease
    hooks: SnapshotHooks
    plans: SnapshotPlans
    caller: HookCaller
    flags: Flags
    refresher: Refresher
    executor: Executor
    io: Executor
    writing: Writing
    threads: int


class Work:
    """The work of one run. `steps` does it in pieces of some milliseconds and resumes where the mark of the
    recorder says; `offsets` is how far this worker is in the lanes of the log."""

    def __init__(self, parts: WorkParts, run: Run, recorder: Recorder, offsets: dict[int, int]) -> None:
        self._parts = parts
        self._run = run
        self._recorder = recorder
        self._loader = Loader(parts.state, parts.plans, parts.io, run.time)
        self._divide()
        self._crew = Crew(parts.executor, parts.threads)
        self._begins = not recorder.mark.offsets
        if self._begins:
            recorder.note_offsets(offsets)
        self._cut = Cut(recorder.mark.offsets, run.time, parts.plans.fingerprint)

    def _divide(self) -> None:
        parts = self._parts
        self._division = divide(parts.hooks, parts.plans, self._recorder.mark.refresh)
        self._correlator = Correlator(
            parts.hooks, parts.plans, parts.caller, parts.refresher, self._division, self._run.time
        )

    def steps(self) -> Wait:
        """Do all that is left to do."""
        if self._begins and (refresh := self._parts.flags.take(self._run.id)):
            self._recorder.note_refresh(refresh)
            self._divide()
        if not is_comparable(self._parts.state, self._cut, self._own_partitions()):
            self._recorder.renew_index()
        components = yield from self._components()
        self._recorder.report(
            components=sum(map(self._is_own, components.firsts)),
            too_large=[size for first, size in components.too_large if self._is_own(first)],
        )
        for stage, part in (
            (Stage.FREE, self._do_free),
            (Stage.HOOKED, self._do_hooked),
            (Stage.LINKED, self._do_linked),
        ):
            mark = self._recorder.mark
            if mark.stage <= stage:
                yield from part(components, mark.after if mark.stage == stage else 0)
        self._recorder.complete(Phase.WORK, self._cut)

    def report_lost(self, workers: Container[int]) -> Wait:
        """Note that own entities have no snapshot if those that should have made it are lost."""
        components = yield from self._components()
        processes, free = self._parts.lease.worker_processes, frozenset(self._parts.plans.free)
        for first, ids in components.after(0):
            if (first >> ENTITY_SHIFT) % processes in workers:
                nodes = self._parts.state.links.nodes(ids).values()
                own = [node for node in nodes if node.entity and self._is_own(node.entity)]
                self._recorder.without([node.entity for node in own])
                self._recorder.look_again(node.entity for node in own if node.etype in free)
                yield None

    # -- linked entities -------------------------------------------------------------------------------
    def _components(self) -> Generator[Future[Any] | None, None, Components]:
        """The linked entities of this run: those that the first worker has found. Links may change meanwhile,
        but all workers, also those that are started again, divide the work by the same ones."""
        if not self._parts.plans.links:
            return Components()
        parts, run = self._parts, self._run.id
        graph = parts.state.runs.graph(run)
        if graph is None:
            found = yield from self._find_components()
            encoded = found.encode()
            kept = parts.io.submit(parts.state.runs.put_graph, parts.lease, run, encoded)
            yield from finished(kept)
            kept.result()
            graph = parts.state.runs.graph(run) or encoded
        return decode_components(graph)

    def _find_components(self) -> Generator[Future[Any] | None, None, Components]:
        state, plans = self._parts.state, self._parts.plans
        wanted = frozenset(number for number, plan in plans.types.items() if plan.hooked)
        last = state.entities.last_keys()
        newest = [last.get(partition, 0) for partition in range(state.partitions)]
        builder = ComponentBuilder(wanted if plans.keep_empty else None, plans.max_component, newest)
        after = (0, 0, 0)
        while edges := state.links.edges(plans.links, self._run.time, after, EDGES):
            builder.link(edges)
            after = (edges[-1].attr, edges[-1].source, edges[-1].target)
            yield None
        for ids in batched(builder.node_ids(), EDGES):
            builder.describe(state.links.nodes(ids).values())
            yield None
        built = self._parts.executor.submit(builder.build)
        yield from finished(built)
        return built.result()

    def _do_linked(self, components: Components, after: int) -> Wait:
        members: dict[int, Member] = {}
        pages = self._linked_pages(components, after)
        for page, reading in ahead(pages, lambda page: self._loader.linked(page.nodes, components)):
            yield from finished(reading)
            linked = reading.result()
            found = self._members(linked.entities.values(), linked.profiles)
            members |= {node: found[entity] for node, entity in linked.entities.items() if entity in found}
            yield None
            if page.last is not None:
                yield from self._do_units((_group(nodes, members) for nodes in page.groups), linked=True)
                self._recorder.reach(Stage.LINKED, page.last)
                members.clear()
                yield None

    def _linked_pages(self, components: Components, after: int) -> Iterator[LinkedPage]:
        for groups, last in self._groups(components, after):
            *pages, rest = batched(chain.from_iterable(groups), LARGEST_PAGE)
            yield from (LinkedPage(nodes, (), None) for nodes in pages)
            yield LinkedPage(rest, groups, last)

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

    # -- entities for themselves -----------------------------------------------------------------------
    def _do_hooked(self, components: Components, after: int) -> Wait:
        pages = self._unlinked(self._own_pages(self._division.hooked, after), components)
        for entities, reading in ahead(pages, self._loader.profiles):
            yield from finished(reading)
            members = self._members(entities, reading.result())
            yield None
            yield from self._do_units(([member] for member in members.values()), linked=False)
            self._recorder.reach(Stage.HOOKED, entities[-1][0])
            yield None

    def _members(self, entities: Collection[Entity], profiles: Profiles) -> dict[Entity, Member]:
        loaded = self._loader.members(entities, profiles)
        self._recorder.without([key for key, _, _ in loaded.failed], failed=True)
        free = self._parts.plans.free
        self._recorder.look_again(key for key, etype, _ in loaded.failed if etype in free)
        return loaded.members

    def _unlinked(self, pages: Iterable[list[Entity]], components: Components) -> Iterator[list[Entity]]:
        """Those of the entities that are in no component, a page at a time. Those that came too late for that
        to be known are left to the next run."""
        free = self._parts.plans.free
        entities: list[Entity] = []
        for page in pages:
            new = {entity for entity in page if components.is_newer(entity[0])}
            self._recorder.look_again(key for key, etype, _ in new if etype in free)
            entities += [entity for entity in page if entity[0] not in components and entity not in new]
            if len(entities) >= (size := self._loader.page):
                yield entities[:size]
                entities = entities[size:]
        if entities:
            yield entities

    def _do_units(self, groups: Iterable[Sequence[Member]], linked: bool) -> Wait:
        units = list(_units(groups, linked))
        result = UnitResult()
        yield from self._recorder.written()
        yield from self._crew.process(units, self._process, result)
        latest: dict[int, StoredSnapshot] = {}
        for entities in batched([made.entity for made in result.made], LARGEST_PAGE):
            latest |= self._loader.latest(entities)
            yield None
        yield from self._recorder.put(result.made, latest)
        self._recorder.without(result.without)
        self._recorder.without(result.failed, failed=True)
        self._recorder.look_again(_free_ones({*result.without, *result.failed}, units))
        self._recorder.effects(result.effects)

    def _process(self, unit: Unit) -> UnitResult:
        try:
            return self._correlator.process(unit)
        except Exception:
            if len(unit.groups) > 1:
                return self._process_alone(unit)
            (members,) = unit.groups
            names = [f"{member.plan.etype}/{member.eid}" for member in members[:3]]
            logger.exception("no snapshots of %d entities in this run: %s, …", len(members), names)
            return UnitResult(failed=[member.entity for member in members if member.entity])

    def _process_alone(self, unit: Unit) -> UnitResult:
        """Each group for itself, so that a failure that is not of a hook stays with its group."""
        result = UnitResult()
        for group in unit.groups:
            result.add(self._process(Unit([group], unit.linked)))
        return result

    def _do_free(self, components: Components, after: int) -> Wait:
        parts, free = self._parts, self._division.free
        if not free:
            return
        search = DirtySearch(
            parts.state, parts.log, parts.lease, parts.plans, self._cut, parts.clock.now_us(), components
        )
        yield from search.find()
        if search.everything:
            pages = self._own_pages(free, after)
        else:
            pages = self._known_pages(sorted(key for key in search.keys if key > after))
        for page, reading in ahead(self._unlinked(pages, components), self._loader.profiles):
            yield from finished(reading)
            members = self._members(page, reading.result())
            yield None
            made = [
                Made(member.entity, member.plan.id, member.computed.doc, member.computed.next_change)
                for member in members.values()
                if member.computed is not None
            ]
            yield from self._recorder.put(made, self._loader.latest([one.entity for one in made]))
            self._recorder.reach(Stage.FREE, page[-1][0])
            yield None

    def _own_pages(self, etypes: Sequence[int], after: int) -> Iterator[list[Entity]]:
        """All own entities of some types."""
        state, lease = self._parts.state, self._parts.lease
        while page := state.entities.own(lease, etypes, after, self._loader.page):
            yield page
            after = page[-1][0]

    def _known_pages(self, keys: Iterable[int]) -> Iterator[list[Entity]]:
        """Those of the entities (keys) that exist and have no hooks."""
        free, left = frozenset(self._division.free), iter(keys)
        while page := list(islice(left, self._loader.page)):
            found = self._parts.state.entities.by_key(page)
            entities = [(key, etype, eid) for key, (etype, eid, _) in sorted(found.items()) if etype in free]
            if entities:
                yield entities

    def _own_partitions(self) -> range:
        lease = self._parts.lease
        return range(lease.index, self._parts.state.partitions, lease.worker_processes)

    def _is_own(self, entity: int) -> bool:
        lease = self._parts.lease
        return (entity >> ENTITY_SHIFT) % lease.worker_processes == lease.index


def _free_ones(entities: Collection[int], units: Iterable[Unit]) -> Iterator[int]:
    """Those of the entities (keys) for which no hooks run; others are looked at in every run."""
    for member in chain.from_iterable(unit.members for unit in units if entities):
        if member.entity in entities and member.plan.stored and not member.plan.hooked:
            yield member.entity
