"""The model as clients see it."""

from typing import Any

from pydantic import TypeAdapter

from dp3.model.attrspec import AttrSpecObservations, AttrSpecPlain, AttrSpecTimeseries, AttrSpecType
from dp3.model.spec import ModelSpec
from dp3.store.ports.entities import Entities

_COMMON = ("id", "name", "description", "ttl")
_HISTORY_PARAMS = ("max_age", "max_items", "expire_time", "pre_validity", "post_validity", "aggregate")

_to_json = TypeAdapter(Any).dump_python


class EntityTypes:
    """The entity types of the model."""

    def __init__(self, entities: Entities, model: ModelSpec) -> None:
        self._entities = entities
        self._types = {etype: _describe_type(model, etype) for etype in model.entities}

    def all(self) -> dict[str, dict[str, Any]]:
        """Entity type → its description and the number of its entities. Durations in ISO 8601."""
        counts = self._entities.counts()
        return {
            etype: described | {"eid_estimate_count": counts.get(etype, 0)}
            for etype, described in self._types.items()
        }


def _describe_type(model: ModelSpec, etype: str) -> dict[str, Any]:
    entity = model.entity(etype)
    return {
        "id": entity.id,
        "id_data_type": str(entity.id_data_type),
        "name": entity.name,
        "attribs": {attr: _describe(spec) for attr, spec in model.attribs(etype).items()},
    }


def _describe(spec: AttrSpecType) -> dict[str, Any]:
    described = {name: getattr(spec, name) for name in _COMMON} | {"t": spec.t.value, "type": spec.type}
    if isinstance(spec, AttrSpecTimeseries):
        described |= _timeseries(spec)
    elif isinstance(spec, AttrSpecObservations):
        described |= _typed(spec) | _observations(spec)
    else:
        described |= _typed(spec)
    return _to_json(described, mode="json")  # type: ignore[no-any-return]


def _typed(spec: AttrSpecPlain | AttrSpecObservations) -> dict[str, Any]:
    return {"data_type": str(spec.data_type), "editable": spec.editable}


def _observations(spec: AttrSpecObservations) -> dict[str, Any]:
    return {
        "confidence": spec.confidence,
        "multi_value": spec.multi_value,
        "history_params": {name: getattr(spec.history_params, name) for name in _HISTORY_PARAMS},
        "history_force_graph": spec.history_force_graph,
    }


def _timeseries(spec: AttrSpecTimeseries) -> dict[str, Any]:
    params = spec.timeseries_params
    return {
        "timeseries_type": spec.timeseries_type,
        "series": {name: {"data_type": str(series.data_type)} for name, series in spec.series.items()},
        "timeseries_params": {"max_age": params.max_age, "time_step": params.time_step},
    }
