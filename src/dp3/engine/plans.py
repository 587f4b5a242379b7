"""What the worker needs to know of the model, looked up once at start-up."""

from dataclasses import dataclass
from enum import IntEnum

from dp3.hooks.table import HookTable
from dp3.model.attrspec import AttrType
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


@dataclass(frozen=True, slots=True)
class TypePlan:
    """One entity type: its number in the state, its attributes by name as (number, kind), and whether any
    hook wants to see its tasks."""

    etype: str
    id: int
    attrs: dict[str, tuple[int, Kind]]
    hooked: bool


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
        )
        for etype in model.entities
    }
