"""What the worker needs to know of the model, looked up once at start-up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum
from typing import NamedTuple

from dp3.hooks.table import HookTable
from dp3.model.attrspec import AttrSpecClassic, AttrSpecObservations, AttrType
from dp3.model.spec import ModelSpec
from dp3.store.port import Store


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


@dataclass(frozen=True, slots=True)
class TypePlan:
    """One entity type: its number in the state, its attributes by name as (number, kind), whether any hook
    wants to see its tasks, and which attributes (by number) are relations."""

    etype: str
    id: int
    attrs: dict[str, tuple[int, Kind]]
    hooked: bool
    links: Mapping[int, LinkPlan] = field(default_factory=dict)


def make_plans(model: ModelSpec, store: Store, hooks: HookTable) -> dict[str, TypePlan]:
    """Plans of all entity types of the model, by type."""
    return {
        etype: TypePlan(
            etype=etype,
            id=store.etype_id(etype),
            attrs={
                name: (store.attr_id(etype, name), _KINDS[spec.t])
                for name, spec in model.entity_attributes[etype].items()
            },
            hooked=hooks.touches(etype),
            links={
                store.attr_id(etype, name): _link_plan(spec, store)
                for (owner, name), spec in model.relations.items()
                if owner == etype
            },
        )
        for etype in model.entities
    }


def _link_plan(spec: AttrSpecClassic, store: Store) -> LinkPlan:
    target = store.etype_id(spec.relation_to)
    if isinstance(spec, AttrSpecObservations):
        return LinkPlan(target, spec.history_params.post_validity // timedelta(microseconds=1))
    return LinkPlan(target)
