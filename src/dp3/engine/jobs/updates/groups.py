"""Groups of hooks that are called for all entities of a type: periodic ones, and creation hooks again."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from dp3.engine.jobs.hook_effects import Effects, HookCaller
from dp3.engine.jobs.snapshots.masters import MasterReader
from dp3.engine.jobs.snapshots.records import plan_records
from dp3.engine.jobs.snapshots.values import plan_values
from dp3.engine.jobs.updates.cycle import Subject
from dp3.hooks.kinds import HOOK_SPECS, HookKind
from dp3.hooks.outcome import HookError, hook_failed
from dp3.hooks.registration import HookRegistration
from dp3.hooks.table import Hook
from dp3.model.attrspec import AttrSpecReadOnly
from dp3.model.spec import ModelSpec
from dp3.model.task import task_from_wire
from dp3.model.wire import WireTask
from dp3.store.ports.state import State
from dp3.store.ports.updates import UpdateGroup

CREATION: HookKind = "on_entity_creation"

Call = tuple[Hook, Any, tuple[Any, ...]]
"""A hook, the typed id of the entity, and its arguments."""


class HookGroup:
    """Hooks of one entity type, period and kind, in the order of registration. May be used by several threads
    at once.

    A cycle has `batches` batches. `records`: the hooks get the master record of the entity.
    """

    def __init__(
        self,
        model: ModelSpec,
        store: State,
        etype: str,
        kind: HookKind,
        period: timedelta,
        hooks: Iterable[Hook],
    ) -> None:
        specs = model.entity_attributes[etype]
        numbers = {
            name: store.names.attr_id(etype, name)
            for name, spec in specs.items()
            if not isinstance(spec, AttrSpecReadOnly)
        }
        attrs = {number: specs[name] for name, number in numbers.items()}
        records = plan_records(model, etype)
        self.id = UpdateGroup(kind, store.names.etype_id(etype), period // timedelta(microseconds=1))
        self.etype = etype
        self.hooks = tuple(hooks)
        self.records = HOOK_SPECS[kind].takes_record
        self._model = model
        self._values = plan_values(model, etype, numbers, store.entities)
        self._decode_profile = store.entities.decode_profile
        self._read_eid = records.fields["eid"].read
        self._master = MasterReader(records, attrs, store.entities)

    def __str__(self) -> str:
        every = f" every {timedelta(microseconds=self.id.period)}" if self.id.period else ""
        return f"{self.id.kind} hooks of {self.etype}{every}"

    def batches(self, batch_period: timedelta) -> int:
        """The number of batches of a cycle."""
        return max(1, timedelta(microseconds=self.id.period) // batch_period)

    def visit(self, subject: Subject, caller: HookCaller) -> Effects:
        """Call all hooks for an entity; one that fails does not keep the others from it."""
        effects, eid = Effects(), self._values.eid(subject.eid)
        try:
            for hook, typed, arguments in self._calls(subject, eid):
                caller.call(hook, (self.etype, typed), eid, effects, *arguments)
        except Exception as error:  # what is stored does not fit the model any more
            self.fail(subject, caller, effects, hook_failed(error))
        return effects

    def fail(self, subject: Subject, caller: HookCaller, effects: Effects, error: HookError) -> None:
        """Keep for an entity what failed; the first hook is to blame."""
        caller.fail(self.hooks[0], self.etype, self._values.eid(subject.eid), effects, error)

    def _calls(self, subject: Subject, eid: int | str) -> Iterator[Call]:
        """Each hook with what it gets, a record of its own if it gets one."""
        if self.id.kind == CREATION:
            task = task_from_wire(WireTask(self.etype, eid, []), self._model)
            yield from ((hook, task.eid, (task.eid, task)) for hook in self.hooks)
            return
        typed = self._read_eid(eid)
        profile = self._decode_profile(subject.profile) if self.records else None
        for hook in self.hooks:
            record = () if profile is None else (self._master.document(eid, profile),)
            yield hook, typed, (self.etype, typed, *record)


def make_groups(model: ModelSpec, store: State, registrations: Iterable[HookRegistration]) -> list[HookGroup]:
    """The groups of all periodic hooks."""
    found: dict[tuple[HookKind, str, timedelta], list[Hook]] = {}
    for one in registrations:
        if one.entity_type is not None and one.period is not None:
            found.setdefault((one.kind, one.entity_type, one.period), []).append(Hook.of(one))
    return [
        HookGroup(model, store, etype, kind, period, hooks) for (kind, etype, period), hooks in found.items()
    ]
