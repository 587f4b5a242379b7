"""Periodic hooks by what they are called for."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from dp3.engine.jobs.snapshots.masters import MasterReader
from dp3.engine.jobs.snapshots.records import plan_records
from dp3.engine.jobs.snapshots.values import ValuePlan, plan_values
from dp3.hooks.kinds import HOOK_SPECS, HookKind
from dp3.hooks.registration import HookRegistration
from dp3.hooks.table import Hook
from dp3.model.attrspec import AttrSpecReadOnly
from dp3.model.primitives import Converter
from dp3.model.spec import ModelSpec
from dp3.store.ports.state import State
from dp3.store.ports.updates import UpdateGroup


@dataclass(frozen=True, slots=True, eq=False)
class HookGroup:
    """Hooks of one entity type, period and kind, in the order of registration.

    A cycle has `batches` batches. `read_eid`: eid in wire form → typed; `master` makes the records, None if
    the hooks get none.
    """

    id: UpdateGroup
    etype: str
    hooks: tuple[Hook, ...]
    batches: int
    values: ValuePlan
    read_eid: Converter
    master: MasterReader | None

    def __str__(self) -> str:
        return f"{self.id.kind} hooks of {self.etype} every {timedelta(microseconds=self.id.period)}"


def make_groups(
    model: ModelSpec, store: State, registrations: Iterable[HookRegistration], batch_period: timedelta
) -> list[HookGroup]:
    """The groups of all periodic hooks."""
    found: dict[tuple[HookKind, str, timedelta], list[Hook]] = {}
    for one in registrations:
        if one.entity_type is not None and one.period is not None:
            found.setdefault((one.kind, one.entity_type, one.period), []).append(Hook.of(one))
    return [
        _group(model, store, kind, etype, period, hooks, max(1, period // batch_period))
        for (kind, etype, period), hooks in found.items()
    ]


def creation_group(model: ModelSpec, store: State, etype: str, hooks: Iterable[Hook]) -> HookGroup:
    """Creation hooks of a type, to be called for all of its entities once."""
    return _group(model, store, "on_entity_creation", etype, timedelta(), hooks, 1)


def _group(
    model: ModelSpec,
    store: State,
    kind: HookKind,
    etype: str,
    period: timedelta,
    hooks: Iterable[Hook],
    batches: int,
) -> HookGroup:
    specs = model.entity_attributes[etype]
    numbers = {
        name: store.names.attr_id(etype, name)
        for name, spec in specs.items()
        if not isinstance(spec, AttrSpecReadOnly)
    }
    attrs = {number: specs[name] for name, number in numbers.items()}
    records = plan_records(model, etype)
    return HookGroup(
        id=UpdateGroup(kind, store.names.etype_id(etype), period // timedelta(microseconds=1)),
        etype=etype,
        hooks=tuple(hooks),
        batches=batches,
        values=plan_values(model, etype, numbers, store.entities),
        read_eid=records.fields["eid"].read,
        master=MasterReader(records, attrs, store.entities) if HOOK_SPECS[kind].takes_record else None,
    )
