"""Makes the snapshots of entities that are linked with each other, with the hooks that run over them."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, TypeAlias

import msgspec

from dp3.engine.jobs.hook_effects import Effects, HookCaller
from dp3.engine.jobs.snapshots.doc import Doc
from dp3.engine.jobs.snapshots.loading import Member
from dp3.engine.jobs.snapshots.masters import chunks
from dp3.engine.jobs.snapshots.plans import SnapshotPlans
from dp3.engine.jobs.snapshots.records import Record, close_record, open_record
from dp3.engine.jobs.snapshots.refresh import Division, Refresher
from dp3.engine.jobs.snapshots.values import compute
from dp3.engine.jobs.snapshots.writing import NewSnapshot
from dp3.history.confidence import Terms
from dp3.hooks.outcome import HookError
from dp3.hooks.table import Hook
from dp3.model.wire import WireTask
from dp3.store.ports.entities import Profile

MOST_NAMED = 5
"""Hooks that are named when it is not known which of them has left a value."""

logger = logging.getLogger(__name__)

Unit: TypeAlias = Sequence[Sequence[Member]]
"""Groups of entities that are processed at once. Those of a linked group see each other by their records; the
groups have nothing to do with each other."""

Records: TypeAlias = dict[tuple[str, Any], dict[str, Any]]
"""The values that hooks see and change, by entity (type, typed eid)."""

Link: TypeAlias = dict[str, Any]
"""`{"eid": …}`, with `data` where the type has it and `record` while hooks run."""

Exists: TypeAlias = Callable[[str, Any], bool]
"""(entity type, eid as in the link) → whether the entity exists."""


@dataclass(slots=True)
class UnitResult:
    """Snapshots, the keys of entities that get none, and those of entities that could not be processed."""

    snapshots: list[NewSnapshot] = field(default_factory=list)
    without: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    effects: Effects = field(default_factory=Effects)

    def add(self, other: "UnitResult") -> None:
        """Add those of other units."""
        self.snapshots += other.snapshots
        self.without += other.without
        self.failed += other.failed
        self.effects.add(other.effects)


class OpenMember(msgspec.Struct, gc=False):
    """A member while hooks run; `profile` has the results of timeseries hooks in it; `added` says which hook
    has added a value. For refreshed hooks: `records` of its group (empty if it is not linked), and the plain
    values (in wire form) that they gave it, `derived`."""

    member: Member
    profile: Profile
    record: Record
    records: Records
    entity: tuple[str, Any]
    derived: dict[str, Any] = {}
    added: dict[Any, Hook] = {}


class Correlator:
    """Processes units at the moment `time` (µs) of a run. May be used by several threads, each with its own
    units."""

    def __init__(self, plans: SnapshotPlans, caller: HookCaller, division: Division, time: int) -> None:
        self._plans = plans
        self._caller = caller
        self.attempts = caller.attempts
        self._refresher = Refresher(plans.model, caller)
        self.division = division
        self._time = time

    def process(self, unit: Unit, linked: bool) -> UnitResult:
        """Compute values, run hooks, and take what they made of the values."""
        result = UnitResult()
        opened: list[OpenMember] = []
        for group in unit:
            found = self._opened(group, linked, result)
            if linked:
                _attach_all(found)
            opened += found
        by_type: dict[str, list[OpenMember]] = defaultdict(list)
        for one in opened:
            by_type[one.entity[0]].append(one)
        for hook in self.division.ordered:
            members = by_type.get(hook.entity or "", ())
            if not hook.spec.ordered:
                self._refresh(hook, members, result.effects)
            elif linked or hook.entity not in self.division.bare:
                for one in members:
                    self._call(hook, one, result.effects)
        for one in opened:
            self._close(one, linked, result)
        return result

    def _opened(self, group: Sequence[Member], linked: bool, result: UnitResult) -> list[OpenMember]:
        keep_empty = self._plans.keep_empty
        missing: set[tuple[str, Any]] = set()
        if linked and not keep_empty:
            missing = {(member.plan.etype, member.eid) for member in group if not member.entity}
        records: Records = {}
        opened = []
        for member in group:
            if not (member.entity or keep_empty):
                continue
            plan = member.plan
            try:
                profile, doc = self._computed(member, linked, result.effects)
                if missing:
                    doc = without_missing(doc, plan.attached, lambda *target: target not in missing)
                record = open_record(doc, plan.records, self._time)
                entity = plan.etype, record.before["eid"]
                opened.append(OpenMember(member, profile, record, records, entity))
            except Exception:
                logger.exception("no snapshot of %s/%s in this run", plan.etype, member.eid)
                if member.entity:
                    result.failed.append(member.entity)
        return opened

    def _computed(self, member: Member, linked: bool, effects: Effects) -> tuple[Profile, Doc]:
        """The profile with the results of timeseries hooks in it, and the values."""
        plan, profile, computed = member.plan, member.profile, member.computed
        if computed is None:
            if linked or plan.stored:
                profile = self._after_timeseries(member, effects)
            computed = compute(member.eid, profile, plan.values, self._time, member.mirrors)
        return profile, computed.doc

    def _after_timeseries(self, member: Member, effects: Effects) -> Profile:
        """The profile with what timeseries hooks return for this entity in it."""
        plan, profile = member.plan, member.profile
        entity = (plan.etype, plan.records.fields["eid"].read(member.eid))
        tasks: list[WireTask] = []
        for number, (attr, read) in plan.timeseries.items():
            rows = [row for row in profile.chunks if row[0] == number]
            for hook in self._plans.hooks.timeseries[plan.etype, attr] if rows else ():
                history = chunks(rows, read)
                tasks += self._caller.call(hook, entity, member.eid, effects, plan.etype, attr, history)
        own = [task for task in tasks if (task.etype, task.eid) == (plan.etype, member.eid)]
        return _with_points(member, own, self._time)

    def _call(self, hook: Hook, one: OpenMember, effects: Effects) -> None:
        values, entity = one.record.values, one.entity
        before = len(values)
        more = (self._master(one),) if hook.spec.takes_record else ()
        self._caller.call(hook, entity, one.member.eid, effects, entity[0], values, *more)
        if len(values) > before:
            one.added.update(dict.fromkeys(islice(values, before, None), hook))

    def _refresh(self, hook: Hook, members: Iterable[OpenMember], effects: Effects) -> None:
        """Call a hook of the ingestion again. The plain values that it returns for an entity show in this
        run."""
        for one in members:
            if not one.member.entity:
                continue
            plan = one.member.plan
            for attr in self._refresher.call(hook, plan.etype, one.record, one.derived, effects):
                one.record.values[attr] = plan.records.fields[attr].read(one.derived[attr])
                if attr in plan.attached and one.records:
                    _attach(one, attr)

    def _master(self, one: OpenMember) -> dict[str, Any]:
        member = one.member
        return member.plan.master.document(member.eid, one.profile) if member.entity else {}

    def _close(self, one: OpenMember, linked: bool, result: UnitResult) -> None:
        member = one.member
        doc, problems = close_record(one.record, member.plan.records, self._caller.max_value)
        for name, problem in problems.items():
            self._blame(one, name, problem, result.effects)
        if not (member.entity and member.plan.stored):
            return
        if linked and not self._plans.keep_empty and _is_empty(doc):
            result.without.append(member.entity)
        else:
            result.snapshots.append(self._snapshot(member, doc, linked))

    def _blame(self, one: OpenMember, name: str, problem: str, effects: Effects) -> None:
        """Keep that a value can not be stored, for the hook that has left it or naming all that may have."""
        member, writers = one.member, self._plans.hooks.writers(one.member.plan.etype, name)
        first, *others = (one.added[name],) if name in one.added else writers or (None,)
        reason = f"{name}: {problem}"
        if first is None:
            reason += "; left by a hook that does not declare it in may_change"
        elif others:
            names = ", ".join(f"{hook.module}: {hook.name}" for hook in (first, *others)[:MOST_NAMED])
            reason += f"; left by one of the hooks {names}"
        error = HookError("result", reason)
        hook = None if others else first
        self._caller.fail(hook, member.plan.etype, member.eid, effects, error)

    def _snapshot(self, member: Member, doc: Doc, linked: bool) -> NewSnapshot:
        """An entity without hooks of its own is looked at again once it is not with others that have some; if
        it is alone, being refreshed, when it changes."""
        etype, before = member.plan.id, member.before
        if member.plan.hooked:
            return NewSnapshot(member.entity, etype, doc, before, None, always=True)
        alone = None if linked else member.computed
        due = self._time if alone is None else alone.next_change
        return NewSnapshot(member.entity, etype, doc, before, due)


# -- links inside values, wherever they may be: single, in lists, in lists of lists ------------------------
def _attach_all(group: Sequence[OpenMember]) -> None:
    """Give every link that hooks follow the record of its target: the very dictionary of that entity."""
    for one in group:
        one.records[one.entity] = one.record.values
    for one in group:
        for attr in one.member.plan.attached:
            _attach(one, attr)


def _attach(one: OpenMember, attr: str) -> None:
    etype = one.member.plan.attached[attr]
    for link in links_in(one.record.values.get(attr)):
        target = one.records.get((etype, link["eid"]))
        link["record"] = {"eid": link["eid"]} if target is None else target


def links_in(value: Any) -> Iterable[Link]:
    """All links of a relation's or mirror's value, in order; what has another shape is passed over."""
    if isinstance(value, dict):
        return (value,) if "eid" in value else ()
    return chain.from_iterable(map(links_in, value)) if isinstance(value, list) else ()


def without_missing(doc: Doc, targets: Mapping[str, str], exists: Exists) -> Doc:
    """A snapshot without links to entities that do not exist, with `keep_empty: false`.

    `targets` names the relations to look at, each with the entity type that it links to. A single link goes
    with its confidence, and so do such values of a multi-valued relation. An array or set stays as it is if
    one of its targets exists or if it is empty. An attribute with nothing left has no value.
    """
    values, terms = dict(doc.values), dict(doc.terms)
    for attr, etype in targets.items():
        if attr not in values:
            continue
        several = terms.get(attr)
        if several is None or isinstance(several, Terms):
            if _is_missing(values[attr], etype, exists):
                del values[attr]
                terms.pop(attr, None)
            continue
        kept = [
            pair
            for pair in zip(values[attr], several, strict=True)
            if not _is_missing(pair[0], etype, exists)
        ]
        values[attr], terms[attr] = [value for value, _ in kept], [of_value for _, of_value in kept]
        if not kept:
            del values[attr], terms[attr]
    return Doc(values, terms, doc.literals)


def _is_missing(value: Any, etype: str, exists: Exists) -> bool:
    """True if a link, or every link of a list, leads nowhere."""
    links = list(links_in(value))
    return bool(links) and not any(exists(etype, link["eid"]) for link in links)


# -- values ----------------------------------------------------------------------------------------------
def _with_points(member: Member, tasks: Sequence[WireTask], time: int) -> Profile:
    profile, numbers = member.profile, member.plan.numbers
    plain, observed = list(profile.plain), {attr: list(rows) for attr, rows in profile.observed}
    for task in tasks:
        for point in task.points:
            number, value = numbers[point.attr], member.plan.values.encode(point.v)
            if point.t1 is None or point.t2 is None:
                plain.append((number, 0, time, value))
            elif point.c is not None:
                observed.setdefault(number, []).append((point.t1, point.t2, point.c, value, 1))
    return msgspec.structs.replace(profile, plain=plain, observed=list(observed.items()))


def _is_empty(doc: Doc) -> bool:
    return len(doc.values) == 1 and not doc.literals
