"""Profiles as snapshot runs read them, and what they compute from them."""

from collections.abc import Mapping
from typing import Any

from dp3.engine.jobs.snapshots.values import ValuePlan, plan_values
from dp3.model.spec import ModelSpec
from dp3.model.wire import CONFIDENCE_UNIT, encode_value
from dp3.store.ports.entities import Profile
from dp3.store.sql.entities import Entities
from kit.history import Observation
from kit.specs import Spec, observed_attr, valid

ENTITY = 7


def brief(data_type: str, **keys: Any) -> Spec:
    """Observations that are valid ten seconds before and after they were made."""
    return observed_attr(data_type, valid("10s", "10s"), **keys)


def numbers_of(model: ModelSpec, etype: str = "a") -> dict[str, int]:
    return {name: number for number, name in enumerate(model.entity_attributes[etype], 1)}


def a_value_plan(model: ModelSpec, etype: str = "a") -> ValuePlan:
    return plan_values(model, etype, numbers_of(model, etype), Entities)


def a_profile(
    plain: Mapping[int, Any] | None = None, history: Mapping[int, list[Observation]] | None = None
) -> Profile:
    """A profile by the numbers of attributes; the values of `history` are encoded already."""
    observed = [
        (attr, [(seen.t1, seen.t2, seen.c, seen.v.hex().upper(), 1) for seen in all_seen])
        for attr, all_seen in (history or {}).items()
    ]
    values = [(attr, 0, 0, Entities.encode_value(v)) for attr, v in (plain or {}).items()]
    return Profile(ENTITY, 0, values, observed)


def seen(t1: int, t2: int, v: Any, c: float = 1.0) -> Observation:
    """An observation; the value is not yet encoded."""
    return Observation(t1, t2, round(c * CONFIDENCE_UNIT), encode_value(v))
