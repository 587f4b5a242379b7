"""What the worker needs to know of the model, looked up once at start-up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum, StrEnum
from typing import NamedTuple

from dp3.clock import duration_us
from dp3.hooks.table import HookTable
from dp3.model.attrspec import (
    AttrSpecClassic,
    AttrSpecObservations,
    AttrSpecTimeseries,
    AttrSpecType,
    AttrType,
)
from dp3.model.entityspec import TimeToLiveLifetime
from dp3.model.spec import ModelSpec
from dp3.store.ports.state import State


class Kind(IntEnum):
    """How a data-point of an attribute is kept."""

    PLAIN = 0
    OBSERVATIONS = 1
    TIMESERIES = 2


_KINDS = {
    AttrType.PLAIN: Kind.PLAIN,
    AttrType.OBSERVATIONS: Kind.OBSERVATIONS,
    AttrType.TIMESERIES: Kind.TIMESERIES,
}


class LinkPlan(NamedTuple):
    """A relation: the number of the entity type it leads to, and for how many µs an observed link holds after
    its `t2`."""

    target: int
    post: int = 0


class Lifetime(StrEnum):
    """What ends the life of entities, beside deletion by others."""

    IMMORTAL = "immortal"
    TTL = "ttl"
    WEAK = "weak"


@dataclass(frozen=True, slots=True)
class LifePlan:
    """How long entities of a type live: with tokens, for `on_create` µs, and as long as their data keeps
    them: `keeps` has the µs of each attribute (by number) that does so."""

    lifetime: Lifetime = Lifetime.IMMORTAL
    on_create: int = 0
    keeps: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TypePlan:
    """One entity type: its number in the state, its attributes by name as (number, kind), whether any hook
    wants to see its tasks, which attributes (by number) are relations, and how long its entities live."""

    etype: str
    id: int
    attrs: dict[str, tuple[int, Kind]]
    hooked: bool
    links: Mapping[int, LinkPlan] = field(default_factory=dict)
    life: LifePlan = LifePlan()


def make_plans(model: ModelSpec, store: State, hooks: HookTable) -> dict[str, TypePlan]:
    """Plans of all entity types of the model, by type."""
    return {
        etype: TypePlan(
            etype=etype,
            id=store.names.etype_id(etype),
            attrs={
                name: (store.names.attr_id(etype, name), _KINDS[spec.t])
                for name, spec in model.entity_attributes[etype].items()
            },
            hooked=hooks.touches(etype),
            links={
                store.names.attr_id(etype, name): _link_plan(spec, store)
                for (owner, name), spec in model.relations.items()
                if owner == etype
            },
            life=_life_plan(etype, model, store),
        )
        for etype in model.entities
    }


def _link_plan(spec: AttrSpecClassic, store: State) -> LinkPlan:
    target = store.names.etype_id(spec.relation_to)
    if isinstance(spec, AttrSpecObservations):
        return LinkPlan(target, duration_us(spec.history_params.post_validity))
    return LinkPlan(target)


def _life_plan(etype: str, model: ModelSpec, store: State) -> LifePlan:
    lifetime = model.entity(etype).lifetime
    if not isinstance(lifetime, TimeToLiveLifetime):
        return LifePlan(Lifetime(lifetime.type))
    keeps = {
        store.names.attr_id(etype, name): duration_us(_kept_for(spec, lifetime.mirror_data))
        for name, spec in model.entity_attributes[etype].items()
    }
    return LifePlan(
        Lifetime.TTL, duration_us(lifetime.on_create), {attr: us for attr, us in keeps.items() if us}
    )


def _kept_for(spec: AttrSpecType, mirror_data: bool) -> timedelta:
    """How long data of an attribute keeps its entity: as it says, or as long as the data itself is kept."""
    longest = spec.ttl or timedelta(0)
    if mirror_data and isinstance(spec, AttrSpecObservations):
        return max(longest, spec.history_params.max_age or timedelta(0))
    if mirror_data and isinstance(spec, AttrSpecTimeseries):
        return max(longest, spec.timeseries_params.max_age or timedelta(0))
    return longest
