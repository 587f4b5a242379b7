"""Small models, profiles and documents for the tests of values."""

from collections.abc import Mapping
from typing import Any

from dp3.engine.snapshots.values import ValuePlan, plan_values
from dp3.history import Observation
from dp3.model.spec import ModelSpec
from dp3.model.wire import CONFIDENCE_UNIT, encode_value
from dp3.store.snapshots import Profile, hex_of

ENTITY = 7


def plain(data_type: str) -> dict[str, Any]:
    return {"name": "x", "type": "plain", "data_type": data_type}


def observed(data_type: str, **keys: Any) -> dict[str, Any]:
    params = {"pre_validity": "10s", "post_validity": "10s"}
    return {"name": "x", "type": "observations", "data_type": data_type, "history_params": params, **keys}


def a_timeseries() -> dict[str, Any]:
    series, params = {"x": {"data_type": "int"}}, {"time_step": "5m"}
    keys = {"timeseries_type": "regular", "series": series, "timeseries_params": params}
    return {"name": "x", "type": "timeseries", **keys}


def a_model(attribs: Mapping[str, Any], **entity: Any) -> ModelSpec:
    """Entity type `a` with the attributes, and `b` (int ids) and `ip` (addresses) to link to."""

    def an_entity(etype: str, **keys: Any) -> dict[str, Any]:
        return {"id": etype, "name": etype, "snapshot": True, **keys}

    return ModelSpec(
        {
            "a": {"entity": an_entity("a", **entity), "attribs": attribs},
            "b": {"entity": an_entity("b", id_data_type="int"), "attribs": {}},
            "ip": {"entity": an_entity("ip", id_data_type="ipv4"), "attribs": {}},
        }
    )


def numbers_of(model: ModelSpec, etype: str = "a") -> dict[str, int]:
    return {name: number for number, name in enumerate(model.entity_attributes[etype], 1)}


def a_value_plan(model: ModelSpec, etype: str = "a") -> ValuePlan:
    return plan_values(model, etype, numbers_of(model, etype))


def a_profile(
    plain: Mapping[int, Any] | None = None, history: Mapping[int, list[Observation]] | None = None
) -> Profile:
    """A profile by the numbers of attributes; the values of `history` are encoded already."""
    observed = [
        (attr, [(seen.t1, seen.t2, seen.c, seen.v.hex().upper(), 1) for seen in all_seen])
        for attr, all_seen in (history or {}).items()
    ]
    return Profile(ENTITY, 0, [(attr, 0, hex_of(v)) for attr, v in (plain or {}).items()], observed)


def seen(t1: int, t2: int, v: Any, c: float = 1.0) -> Observation:
    """An observation; the value is not yet encoded."""
    return Observation(t1, t2, round(c * CONFIDENCE_UNIT), encode_value(v))
