"""Small models and values for the tests of this folder."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from dp3.model.datatype import DataType
from dp3.model.entityspec import EntitySpec
from dp3.model.spec import ModelSpec


def an_entity(etype: str = "a", **keys: Any) -> dict[str, Any]:
    return {"id": etype, "name": etype, "snapshot": True, **keys}


def a_plain(data_type: Any = "int", **keys: Any) -> dict[str, Any]:
    return {"name": "x", "type": "plain", "data_type": data_type, **keys}


def an_observation_attr(data_type: str = "int", **keys: Any) -> dict[str, Any]:
    return {"name": "x", "type": "observations", "data_type": data_type, **keys}


def a_timeseries(kind: str = "regular", **keys: Any) -> dict[str, Any]:
    params = {"time_step": "5m"} if kind == "regular" else {}
    series = {"x": {"data_type": "int"}}
    return {
        "name": "x",
        "type": "timeseries",
        "timeseries_type": kind,
        "series": series,
        "timeseries_params": params,
        **keys,
    }


def a_model(attribs: Mapping[str, Any], **entity: Any) -> ModelSpec:
    """A model of entity type `a` with the attributes, and `b` with integer ids."""
    return ModelSpec(
        {
            "a": {"entity": an_entity("a", **entity), "attribs": attribs},
            "b": {"entity": an_entity("b", id_data_type="int"), "attribs": {}},
        }
    )


LINKABLE = {
    "s": EntitySpec(**an_entity("s")),
    "n": EntitySpec(**an_entity("n", id_data_type="int")),
    "ip": EntitySpec(**an_entity("ip", id_data_type="ipv6")),
    "with-dash": EntitySpec(**an_entity("with-dash", id_data_type="mac")),
}


@cache
def a_type(text: str) -> DataType:
    """A data type that can link to `s`, `n`, `ip` and `with-dash`."""
    return DataType(text, LINKABLE)


@cache
def _adapter(data_type: DataType) -> TypeAdapter[Any]:
    return TypeAdapter(data_type.data_type)


def validated(data_type: DataType, value: Any) -> Any:
    """What pydantic makes of a value; raises its `ValidationError`."""
    return _adapter(data_type).validate_python(value)


def wire_of(data_type: DataType, value: Any) -> Any:
    """The wire form by the slow path."""
    return data_type.codec.to_wire(validated(data_type, value))
