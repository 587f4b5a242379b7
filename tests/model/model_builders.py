"""Data types and values for the tests of this folder."""

from functools import cache
from typing import Any

from pydantic import TypeAdapter

from dp3.model.datatype import DataType
from dp3.model.entityspec import EntitySpec
from kit.specs import an_entity

LINKABLE = {
    "s": EntitySpec(**an_entity("s")),
    "n": EntitySpec(**an_entity("n", id_data_type="int")),
    "ip": EntitySpec(**an_entity("ip", id_data_type="ipv6")),
    "with-dash": EntitySpec(**an_entity("with-dash", id_data_type="mac")),
}


@cache
def a_data_type(text: str) -> DataType:
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
