"""Hooks of the ingestion that run again in a snapshot run, because a module wants its derived values anew.

When the work of a run begins, `Flags.take` says which ones take part, `divide` which entity types so have
hooks in this run; while it lasts the `Refresher` calls them; when it is over the flags are lowered.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dp3.engine.jobs.hook_effects import Effects, HookCaller
from dp3.engine.jobs.snapshots.plans import Refreshed, SnapshotPlans
from dp3.engine.jobs.snapshots.records import Record
from dp3.history.confidence import Terms
from dp3.hooks.outcome import hook_failed
from dp3.hooks.registration import SharedFlag
from dp3.hooks.table import Hook
from dp3.model.attrspec import AttrSpecReadOnly, point_from_wire
from dp3.model.spec import ModelSpec
from dp3.model.task import task_from_wire
from dp3.model.wire import WirePoint, WireTask

_MISFITS = (ValueError, TypeError, KeyError, AttributeError)
"""Errors that values raise which an older model accepted."""


class Flags:
    """The flags of one worker's modules. For one thread; the flags themselves may be raised by any."""

    def __init__(self, refreshed: Sequence[Refreshed]) -> None:
        self._refreshed = refreshed
        self._taken: tuple[int, list[tuple[SharedFlag, object]]] = (0, [])

    def take(self, run: int) -> list[str]:
        """Ids of the hooks whose flag is raised now, when the work of a run begins."""
        raised = {one.flag: at for one in self._refreshed if (at := one.flag.raised) is not None}
        self._taken = (run, list(raised.items()))
        return [one.id for one in self._refreshed if one.flag in raised]

    def lower(self, run: int) -> None:
        """The run for which they were taken is over: lower those that were not raised again meanwhile."""
        taken_for, flags = self._taken
        if taken_for == run:
            for flag, raised in flags:
                flag.lower(raised)


@dataclass(frozen=True, slots=True)
class Division:
    """Entity types as one worker divides them in one run: `free` ones (numbers) have no hooks in it, `hooked`
    ones have. `ordered` are the hooks. Of types in `bare` (names) entities that are not linked are there only
    to be refreshed: they have no snapshots."""

    free: Sequence[int]
    hooked: Sequence[int]
    ordered: Sequence[Hook]
    bare: frozenset[str | None] = frozenset()
    refreshes: bool = False


def divide(plans: SnapshotPlans, refresh: Collection[str] = ()) -> Division:
    """The division when the hooks with these ids take part. Their types have hooks for this run only."""
    hooks = plans.hooks
    if not refresh:
        return Division(plans.free, plans.hooked, hooks.ordered)
    called = [one.hook for one in hooks.refreshed if one.id in refresh]
    etypes = {hook.entity for hook in called}
    types = {number: plan for number, plan in plans.types.items() if plan.etype in etypes}
    return Division(
        free=[number for number in plans.free if number not in types],
        hooked=sorted({*plans.hooked, *types}),
        ordered=hooks.ordered_with(called),
        bare=frozenset(plan.etype for plan in types.values() if not plan.stored),
        refreshes=True,
    )


class Refresher:
    """Calls refreshed hooks as the ingestion would. May be used by several threads at once.

    In all methods `record` is that of the entity, of type `etype`, and `derived` the plain values (in wire
    form) that refreshed hooks have given it in this run.
    """

    def __init__(self, model: ModelSpec, caller: HookCaller) -> None:
        self._model = model
        self._caller = caller

    def call(
        self, hook: Hook, etype: str, record: Record, derived: dict[str, Any], effects: Effects
    ) -> list[str]:
        """Call a hook: a creation hook with an empty task, an attribute hook with each data-point that gives
        the attribute its current value. Returns the names of plain attributes that got a value so; they are
        in `derived` now."""
        if hook.kind == "on_entity_creation":
            tasks = self._create(hook, etype, record, effects)
        else:
            tasks = []
            for point in self._points(hook.attr or "", etype, record, derived):
                tasks += self._see(hook, etype, record, point, effects)
        own = [task for task in tasks if (task.etype, task.eid) == (etype, record.wires["eid"])]
        plain = {point.attr: point.v for task in own for point in task.points if point.t1 is None}
        derived.update(plain)
        return list(plain)

    def _create(self, hook: Hook, etype: str, record: Record, effects: Effects) -> list[WireTask]:
        eid, wire_eid = record.before["eid"], record.wires["eid"]
        try:
            task = task_from_wire(WireTask(etype, wire_eid, []), self._model)
        except _MISFITS as error:
            self._caller.fail(hook, etype, wire_eid, effects, hook_failed(error))
            return []
        return self._caller.call(hook, (etype, eid), wire_eid, effects, eid, task)

    def _see(
        self, hook: Hook, etype: str, record: Record, wire: WirePoint, effects: Effects
    ) -> list[WireTask]:
        eid, wire_eid = record.before["eid"], record.wires["eid"]
        try:
            point = point_from_wire(self._model.attributes[etype, wire.attr], etype, eid, wire)
        except _MISFITS as error:
            self._caller.fail(hook, etype, wire_eid, effects, hook_failed(error), wire)
            return []
        return self._caller.call(hook, (etype, eid), wire_eid, effects, eid, point, point=wire)

    def _points(self, attr: str, etype: str, record: Record, derived: dict[str, Any]) -> Iterator[WirePoint]:
        """The data-points that give an attribute its current value: several if it has several."""
        values, terms = record.doc.values, record.doc.terms.get(attr)
        if attr in derived:
            yield WirePoint(attr, derived[attr])
        elif attr not in values or isinstance(self._model.attributes[etype, attr], AttrSpecReadOnly):
            return
        elif terms is None:
            yield WirePoint(attr, values[attr])
        elif isinstance(terms, Terms):
            yield _observed(attr, values[attr], terms)
        else:
            for value, of_value in zip(values[attr], terms, strict=True):
                yield _observed(attr, value, of_value)


def _observed(attr: str, value: Any, terms: Terms) -> WirePoint:
    return WirePoint(attr, value, terms.t1, terms.t2, round(terms.c_sum / terms.n))
