"""What snapshots need to know of the model and its hooks, looked up once at start-up."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from dp3.engine.jobs.snapshots.fields import RecordPlan, plan_records
from dp3.engine.jobs.snapshots.keys import KeyPlan, plan_keys
from dp3.engine.jobs.snapshots.masters import MasterReader, chunk_reader
from dp3.engine.jobs.snapshots.values import ValuePlan, plan_values
from dp3.hooks.flags import SharedFlag
from dp3.hooks.graph import order
from dp3.hooks.registration import HookRegistration, Place
from dp3.hooks.table import Hook, HookTable, Lookup
from dp3.model.attrspec import AttrSpecClassic, AttrSpecReadOnly, AttrSpecTimeseries
from dp3.model.entityspec import EntitySpec
from dp3.model.spec import ModelSpec
from dp3.store.ports.entities import Token
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

    def ordered_with(self, refreshed: Collection[Hook]) -> tuple[Hook, ...]:
        """Correlation hooks and these refreshed ones, each after all that change what it reads."""
        return tuple(hook for one, hook in self._in_order if one.spec.ordered or hook in refreshed)


class TimeseriesPlan(NamedTuple):
    """A timeseries attribute with hooks; `read` takes values to `{series: [typed values]}`."""

    name: str
    read: Callable[[Token], Any]


@dataclass(frozen=True, slots=True)
class SnapshotType:
    """One entity type. `stored`: it has snapshots; `hooked`: hooks run for it; `attached`: its links and
    mirrors that get the record of their target, each with the target's type; `mirrors`: numbers of relations
    → names of the mirror attributes that show them; `numbers`: those of attributes by name; `timeseries`:
    those timeseries that have hooks, by number."""

    etype: str
    id: int
    spec: EntitySpec
    values: ValuePlan
    records: RecordPlan
    keys: KeyPlan
    stored: bool
    hooked: bool
    attached: Mapping[str, str]
    mirrors: Mapping[int, str]
    numbers: Mapping[str, int]
    timeseries: Mapping[int, TimeseriesPlan]
    master: MasterReader


@dataclass(frozen=True, slots=True)
class SnapshotPlans:
    """All types by number. `links`: numbers of the relations that make components; `free`: stored types
    without hooks, `hooked`: those with hooks, `mirrored`: relations shown by mirrors (all numbers).
    `whole`: some hooks see timeseries or master records.
    `fingerprint` changes with the model and the hooks."""

    types: Mapping[int, SnapshotType]
    links: Sequence[int]
    free: Sequence[int]
    hooked: Sequence[int]
    mirrored: Sequence[int]
    whole: bool
    keep_empty: bool
    max_component: int
    fingerprint: str

    def ids(self) -> dict[str, int]:
        """Numbers of the types by name."""
        return {plan.etype: number for number, plan in self.types.items()}


@dataclass(frozen=True, slots=True)
class Limits:
    """`keep_empty` of `snapshots.yml`, and how many entities a component may have to be processed as one."""

    keep_empty: bool = True
    max_component: int = 100_000


def make_snapshot_plans(
    model: ModelSpec, store: State, hooks: SnapshotHooks, limits: Limits = Limits()
) -> SnapshotPlans:
    """Plans of all entity types of the model."""
    types = {}
    for etype in model.entities:
        plan = _plan_type(model, store, hooks, etype)
        types[plan.id] = plan
    used = [place for place in model.relations if _is_used(model, place, hooks)]
    mirrored = [place for place, spec in model.relations.items() if spec.is_mirrored]
    return SnapshotPlans(
        types=types,
        links=[store.names.attr_id(*place) for place in used],
        free=[number for number, plan in types.items() if plan.stored and not plan.hooked],
        hooked=[number for number, plan in types.items() if plan.stored and plan.hooked],
        mirrored=[store.names.attr_id(*place) for place in mirrored],
        whole=hooks.whole,
        keep_empty=limits.keep_empty,
        max_component=limits.max_component,
        fingerprint=_fingerprint(model, hooks, limits),
    )


def _is_used(model: ModelSpec, place: Place, hooks: SnapshotHooks) -> bool:
    """Whether a path of a hook follows the relation, in whichever direction."""
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
        spec=model.entities[etype],
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
            numbers[name]: TimeseriesPlan(name, chunk_reader(spec, store.entities))
            for name, spec in attributes.items()
            if isinstance(spec, AttrSpecTimeseries) and hooks.timeseries[etype, name]
        },
        master=MasterReader(
            records, {number: attributes[name] for name, number in numbers.items()}, store.entities
        ),
    )


def _fingerprint(model: ModelSpec, hooks: SnapshotHooks, limits: Limits) -> str:
    described: list[Any] = [{etype: spec.source for etype, spec in model.items()}, hooks.names]
    described.append([limits.keep_empty, limits.max_component])
    return hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()[:16]
