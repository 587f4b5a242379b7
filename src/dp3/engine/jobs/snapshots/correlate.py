"""Makes the snapshots of entities that are linked with each other, with the hooks that run over them."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

import msgspec

from dp3.engine.jobs.snapshots.calling import HookCaller
from dp3.engine.jobs.snapshots.doc import Doc
from dp3.engine.jobs.snapshots.links import links_in, without_missing
from dp3.engine.jobs.snapshots.masters import chunks
from dp3.engine.jobs.snapshots.plans import SnapshotHooks, SnapshotPlans, SnapshotType
from dp3.engine.jobs.snapshots.recording import Effects, Made
from dp3.engine.jobs.snapshots.records import Record, open_record, settle
from dp3.engine.jobs.snapshots.refresh import Division, Refresher, Subject
from dp3.engine.jobs.snapshots.values import Computed, compute
from dp3.hooks.outcome import HookError
from dp3.hooks.table import Hook
from dp3.model.wire import WireTask
from dp3.store.ports.entities import Profile

logger = logging.getLogger(__name__)


class Member(NamedTuple):
    """An entity as it is loaded: `entity` is its key, 0 if it does not exist; `eid` is in wire form. Values
    that timeseries hooks contribute to are not `computed` yet; only what hooks see has its `profile`."""

    entity: int
    plan: SnapshotType
    eid: int | str
    profile: Profile
    mirrors: Mapping[str, list[Any]]
    computed: Computed | None


class Unit(NamedTuple):
    """Entities that are processed at once. `linked`: those of a group see each other by their records; the
    groups have nothing to do with each other."""

    groups: Sequence[Sequence[Member]]
    linked: bool

    @property
    def members(self) -> Iterator[Member]:
        """Those of all groups."""
        return chain.from_iterable(self.groups)


@dataclass(slots=True)
class UnitResult:
    """Snapshots, the keys of entities that get none, and those of entities that could not be processed."""

    made: list[Made] = field(default_factory=list)
    without: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    effects: Effects = field(default_factory=Effects)

    def add(self, other: "UnitResult") -> None:
        """Add those of other units."""
        self.made += other.made
        self.without += other.without
        self.failed += other.failed
        self.effects.add(other.effects)


class _Open(NamedTuple):
    """A member while hooks run; `profile` has the results of timeseries hooks in it."""

    member: Member
    profile: Profile
    record: Record

    @property
    def entity(self) -> tuple[str, Any]:
        return self.member.plan.etype, self.record.before["eid"]


_Entity: TypeAlias = tuple[str, Any]

_Records: TypeAlias = Mapping[_Entity, dict[str, Any]]
"""Values by entity."""


@dataclass(slots=True)
class _Again:
    """What refreshed hooks need, by entity: the plain values (in wire form) that they gave it, and the
    records of those that it is linked with."""

    derived: dict[_Entity, dict[str, Any]] = field(default_factory=dict)
    records: dict[_Entity, _Records] = field(default_factory=dict)


class Correlator:
    """Processes units at the moment `time` (µs). May be used by several threads, each with its own units."""

    def __init__(
        self,
        hooks: SnapshotHooks,
        plans: SnapshotPlans,
        caller: HookCaller,
        refresher: Refresher,
        division: Division,
        time: int,
    ) -> None:
        self._hooks = hooks
        self._plans = plans
        self._caller = caller
        self._refresher = refresher
        self._division = division
        self._time = time

    def process(self, unit: Unit) -> UnitResult:
        """Compute values, run hooks, and take what they made of the values."""
        result = UnitResult()
        opened: list[_Open] = []
        again = _Again()
        for group in unit.groups:
            found = list(self._opened(group, unit.linked, result))
            if unit.linked:
                records = _attach_all(found)
                if self._division.refreshes:
                    again.records |= dict.fromkeys((one.entity for one in found), records)
            opened += found
        by_type: dict[str, list[_Open]] = {}
        for one in opened:
            by_type.setdefault(one.member.plan.etype, []).append(one)
        for hook in self._division.ordered:
            members = by_type.get(hook.entity or "", ())
            if not hook.spec.ordered:
                self._refresh(hook, members, again, result.effects)
            elif unit.linked or hook.entity not in self._division.bare:
                for one in members:
                    self._call(hook, one, result.effects)
        for one in opened:
            self._close(one, unit.linked, result)
        return result

    def _opened(self, group: Sequence[Member], linked: bool, result: UnitResult) -> Iterator[_Open]:
        missing = {(member.plan.etype, member.eid) for member in group if not member.entity}
        for member in group:
            if not (member.entity or self._plans.keep_empty):
                continue
            try:
                yield self._open(member, linked, missing, result.effects)
            except Exception:
                logger.exception("no snapshot of %s/%s in this run", member.plan.etype, member.eid)
                if member.entity:
                    result.failed.append(member.entity)

    def _open(self, member: Member, linked: bool, missing: set[tuple[str, Any]], effects: Effects) -> _Open:
        """`missing` are members that do not exist; of others that are linked to it is not known."""
        plan, profile, computed = member.plan, member.profile, member.computed
        if computed is None:
            if linked or plan.stored:
                profile = self._after_timeseries(member, effects)
            computed = compute(member.eid, profile, plan.values, self._time, member.mirrors)
        doc = computed.doc
        if linked and not self._plans.keep_empty:
            doc = without_missing(doc, plan.attached, lambda etype, eid: (etype, eid) not in missing)
        record = open_record(doc, plan.records, self._time)
        return _Open(member, profile, record)

    def _after_timeseries(self, member: Member, effects: Effects) -> Profile:
        """The profile with what timeseries hooks return for this entity in it."""
        plan, profile = member.plan, member.profile
        entity = (plan.etype, plan.records.fields["eid"].read(member.eid))
        tasks: list[WireTask] = []
        for number, attr in plan.timeseries.items():
            rows = [row for row in profile.chunks if row[0] == number]
            for hook in self._hooks.timeseries[plan.etype, attr.name] if rows else ():
                history = chunks(rows, attr.read)
                tasks += self._caller.call(hook, entity, member.eid, effects, plan.etype, attr.name, history)
        own = [task for task in tasks if (task.etype, task.eid) == (plan.etype, member.eid)]
        return _with_points(member, own, self._time)

    def _call(self, hook: Hook, one: _Open, effects: Effects) -> None:
        args: tuple[Any, ...] = (one.member.plan.etype, one.record.values)
        if hook.spec.takes_record:
            args = (*args, self._master(one))
        self._caller.call(hook, one.entity, one.member.eid, effects, *args)

    def _refresh(self, hook: Hook, members: Iterable[_Open], again: _Again, effects: Effects) -> None:
        """Call a hook of the ingestion again. The plain values that it returns for an entity show in this
        run."""
        for one in members:
            if not one.member.entity:
                continue
            plan, derived = one.member.plan, again.derived.setdefault(one.entity, {})
            subject = Subject(one.entity, one.member.eid, one.record.doc, derived)
            for attr in self._refresher.call(hook, subject, effects):
                one.record.values[attr] = plan.records.fields[attr].read(derived[attr])
                if attr in plan.attached and one.entity in again.records:
                    _attach(one, attr, again.records[one.entity])

    def _master(self, one: _Open) -> dict[str, Any]:
        member = one.member
        return member.plan.master.document(member.eid, one.profile) if member.entity else {}

    def _close(self, one: _Open, linked: bool, result: UnitResult) -> None:
        member = one.member
        settled = settle(one.record, member.plan.records)
        for name, problem in settled.problems.items():
            error = HookError("result", f"{name}: {problem}")
            self._caller.fail(None, member.plan.etype, member.eid, result.effects, error)
        if not (member.entity and member.plan.stored):
            return
        if linked and not self._plans.keep_empty and _is_empty(settled.doc):
            result.without.append(member.entity)
        else:
            result.made.append(self._made(member, settled.doc, linked))

    def _made(self, member: Member, doc: Doc, linked: bool) -> Made:
        """An entity without hooks of its own is looked at again once it is not with others that have some; if
        it is alone, being refreshed, when it changes."""
        if member.plan.hooked:
            return Made(member.entity, member.plan.id, doc, None, always=True)
        alone = None if linked else member.computed
        return Made(member.entity, member.plan.id, doc, self._time if alone is None else alone.next_change)


def _attach_all(opened: Sequence[_Open]) -> _Records:
    """Give every link that hooks follow the record of its target: the very dictionary of that entity."""
    records = {one.entity: one.record.values for one in opened}
    for one in opened:
        for attr in one.member.plan.attached:
            _attach(one, attr, records)
    return records


def _attach(one: _Open, attr: str, records: _Records) -> None:
    etype = one.member.plan.attached[attr]
    for link in links_in(one.record.values.get(attr)):
        target = records.get((etype, link["eid"]))
        link["record"] = {"eid": link["eid"]} if target is None else target


def _with_points(member: Member, tasks: Sequence[WireTask], time: int) -> Profile:
    profile, numbers = member.profile, member.plan.numbers
    plain, observed = list(profile.plain), {attr: list(rows) for attr, rows in profile.observed}
    for task in tasks:
        for point in task.points:
            number, value = numbers[point.attr], member.plan.values.encode(point.v)
            if point.t1 is None or point.t2 is None:
                plain.append((number, time, value))
            elif point.c is not None:
                observed.setdefault(number, []).append((point.t1, point.t2, point.c, value, 1))
    return msgspec.structs.replace(profile, plain=plain, observed=list(observed.items()))


def _is_empty(doc: Doc) -> bool:
    return len(doc.values) == 1 and not doc.literals
