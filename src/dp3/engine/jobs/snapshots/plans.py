"""Plans of snapshot runs: the model and its hooks, looked up once at start-up."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from dp3.config.sections import SnapshotsSettings
from dp3.engine.jobs.snapshots.doc import CONFIDENCE
from dp3.engine.jobs.snapshots.keys import KeyPlan, plan_keys
from dp3.engine.jobs.snapshots.masters import MasterReader, chunk_reader
from dp3.engine.jobs.snapshots.records import RecordPlan, plan_records
from dp3.engine.jobs.snapshots.values import ValuePlan, plan_values
from dp3.hooks.graph import order
from dp3.hooks.registration import HookRegistration, Place, SharedFlag
from dp3.hooks.table import Hook, HookTable, Lookup
from dp3.model.attrspec import AttrSpecClassic, AttrSpecReadOnly, AttrSpecTimeseries
from dp3.model.primitives import Converter
from dp3.model.spec import ModelSpec
from dp3.store.ports.state import State


class Refreshed(NamedTuple):
    """A hook that is called again in runs that begin while its flag is raised; `id` names it across restarts
    of the same application."""

    id: str
    hook: Hook
    flag: SharedFlag


class SnapshotHooks:
    """The hooks of snapshot runs.

    `ordered`: correlation hooks, each after all that change what it reads; `refreshed`: hooks of the
    ingestion that take part in a run if their flag was raised; `timeseries[etype, attr]`, `init` and
    `finalize` in the order of registration. `links`: the links and mirrors on the paths of correlation hooks;
    `etypes`: the entity types for which hooks run in every run; `whole`: some see timeseries or master
    records.
    """

    def __init__(self, registrations: Iterable[HookRegistration]) -> None:
        registrations = tuple(registrations)
        self._in_order = [(one, Hook.of(one)) for one in order(registrations)]
        correlations = [one for one, _ in self._in_order if one.spec.ordered]
        self.ordered: tuple[Hook, ...] = self.ordered_with(())
        self.refreshed = tuple(
            Refreshed(one.correlation_id, hook, one.refresh)
            for one, hook in self._in_order
            if one.refresh is not None
        )
        self.links: frozenset[Place] = frozenset(place for one in correlations for place in one.links)
        table = HookTable(registrations)
        self.timeseries: Lookup = table["timeseries"]
        self.whole = bool(self.timeseries) or any(hook.spec.takes_record for hook in self.ordered)
        self.init = table["snapshot_init"][()]
        self.finalize = table["snapshot_finalize"][()]
        correlated = {hook.entity for hook in self.ordered if hook.entity is not None}
        self.etypes: frozenset[str] = frozenset(correlated | {etype for etype, _ in self.timeseries})
        self.names = [one.correlation_id for one in correlations] + [
            f"{hook.name}{place}" for place, hooks in self.timeseries.items() for hook in hooks
        ]

    def writers(self, etype: str, name: str) -> tuple[Hook, ...]:
        """The correlation hooks that may have given a value to an entity of a type: those that declare it in
        `may_change`, or, if none does, all that are called with the values of the type."""
        place = etype, name.removesuffix(CONFIDENCE)
        hooks = [(one, hook) for one, hook in self._in_order if one.spec.ordered]
        declared = tuple(hook for one, hook in hooks if place in one.writes)
        return declared or tuple(hook for _, hook in hooks if hook.entity == etype)

    def ordered_with(self, refreshed: Collection[Hook]) -> tuple[Hook, ...]:
        """Correlation hooks and these refreshed ones, each after all that change what it reads."""
        return tuple(hook for one, hook in self._in_order if one.spec.ordered or hook in refreshed)


@dataclass(frozen=True, slots=True)
class SnapshotType:
    """An entity type. `stored`: it has snapshots; `hooked`: hooks run for it; `attached`: its links and
    mirrors that get the record of their target, each with the target's type; `mirrors`: numbers of relations
    → names of the mirror attributes that show them; `numbers`: those of attributes by name; `timeseries`:
    those timeseries that have hooks, by number: their names, and what takes wire values to
    `{series: [typed values]}`."""

    etype: str
    id: int
    values: ValuePlan
    records: RecordPlan
    keys: KeyPlan
    stored: bool
    hooked: bool
    attached: Mapping[str, str]
    mirrors: Mapping[int, str]
    numbers: Mapping[str, int]
    timeseries: Mapping[int, tuple[str, Converter]]
    master: MasterReader


class SnapshotPlans:
    """Everything that runs need to know of the model, its hooks and the settings, looked up once at start-up.

    `types`: all types by number. `links`: relations that make components; `mirrored`: those shown by mirrors;
    `free`: stored types without hooks, `hooked`: those with hooks (all numbers). `get_more`: types to whose
    values correlation hooks may add some, because they get them or see them as records. `fingerprint` changes
    with the model, the hooks and the settings: what runs with another one have stored is not comparable.
    """

    def __init__(
        self,
        model: ModelSpec,
        store: State,
        registrations: Iterable[HookRegistration],
        settings: SnapshotsSettings,
    ) -> None:
        self.model = model
        self.hooks = hooks = SnapshotHooks(registrations)
        self.keep_empty = settings.keep_empty
        self.max_component = settings.max_component
        plans = [_plan_type(model, store, hooks, etype) for etype in model.entities]
        self.types: Mapping[int, SnapshotType] = {plan.id: plan for plan in plans}
        self.ids: Mapping[str, int] = {plan.etype: plan.id for plan in plans}
        self.free = [plan.id for plan in plans if plan.stored and not plan.hooked]
        self.hooked = [plan.id for plan in plans if plan.stored and plan.hooked]
        relations = model.relations.items()
        self.get_more = sorted(
            {hook.entity for hook in hooks.ordered if hook.entity is not None}
            | {target for plan in plans for target in plan.attached.values()}
        )
        self.links = [store.names.attr_id(*place) for place, _ in relations if _is_used(model, place, hooks)]
        self.mirrored = [store.names.attr_id(*place) for place, spec in relations if spec.is_mirrored]
        self.fingerprint = _fingerprint(model, hooks, settings)


def _is_used(model: ModelSpec, place: Place, hooks: SnapshotHooks) -> bool:
    """True if a path of a hook follows the relation, in whichever direction."""
    spec = model.relations[place]
    return place in hooks.links or (
        spec.mirror_as is not None and (spec.relation_to, spec.mirror_as) in hooks.links
    )


def _plan_type(model: ModelSpec, store: State, hooks: SnapshotHooks, etype: str) -> SnapshotType:
    attributes = model.entity_attributes[etype]
    numbers = {
        name: store.names.attr_id(etype, name)
        for name, spec in attributes.items()
        if not isinstance(spec, AttrSpecReadOnly)
    }
    records = plan_records(model, etype)
    return SnapshotType(
        etype=etype,
        id=store.names.etype_id(etype),
        values=plan_values(model, etype, numbers, store.entities),
        records=records,
        keys=plan_keys(model, etype),
        stored=model.entities[etype].snapshot,
        hooked=etype in hooks.etypes,
        attached={
            name: spec.relation_to
            for name, spec in attributes.items()
            if isinstance(spec, AttrSpecClassic) and (etype, name) in hooks.links
        },
        mirrors={
            store.names.attr_id(*place): spec.mirror_as
            for place, spec in model.relations.items()
            if spec.mirror_as is not None and spec.relation_to == etype
        },
        numbers=numbers,
        timeseries={
            numbers[name]: (name, chunk_reader(spec, store.entities))
            for name, spec in attributes.items()
            if isinstance(spec, AttrSpecTimeseries) and hooks.timeseries[etype, name]
        },
        master=MasterReader(
            records, {number: attributes[name] for name, number in numbers.items()}, store.entities
        ),
    )


def _fingerprint(model: ModelSpec, hooks: SnapshotHooks, settings: SnapshotsSettings) -> str:
    described: list[Any] = [{etype: spec.source for etype, spec in model.items()}, hooks.names]
    described.append([settings.keep_empty, settings.max_component])
    return hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()[:16]
