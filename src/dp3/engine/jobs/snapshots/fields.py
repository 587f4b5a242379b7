"""How hooks see the values of each attribute: typed, links and objects as plain dictionaries."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dp3.model.attrspec import AttrSpecClassic, AttrSpecObservations
from dp3.model.datatype import DataType
from dp3.model.entityspec import EntitySpec
from dp3.model.errors import Reject
from dp3.model.primitives import PRIMITIVE_TYPES, Converter, identity
from dp3.model.spec import ModelSpec
from dp3.model.type_text import DictOf, LinkTo, ListOf, OneOf, Primitive, TypeExpr


@dataclass(frozen=True, slots=True)
class Field:
    """`read` takes a wire value to a fresh value for hooks (any exception if it is of another type),
    `accept` a JSON value to the canonical wire value, or raises `Reject`."""

    read: Converter
    accept: Converter
    relation: bool


@dataclass(frozen=True, slots=True)
class RecordPlan:
    """The fields of an entity type in the order of the model, first `eid`. `readers`: those whose values are
    not simply in wire form."""

    etype: str
    fields: Mapping[str, Field]
    readers: Mapping[str, Converter]


def plan_records(model: ModelSpec, etype: str) -> RecordPlan:
    """The plan of an entity type; raises `KeyError` if the model does not have it."""
    entity = model.entities[etype]
    fields = {"eid": Field(_eid_reader(entity), entity.accept_eid, relation=False)}
    for name, spec in model.entity_attributes[etype].items():
        if isinstance(spec, AttrSpecClassic):
            fields[name] = _field(spec, model.entities)
    readers = {name: field.read for name, field in fields.items() if field.read is not identity}
    return RecordPlan(etype, fields, readers)


def reader(data_type: DataType, entities: Mapping[str, EntitySpec]) -> Converter:
    """Wire value of a type → what hooks see."""
    return _reader(data_type.expr, entities)


def _field(spec: AttrSpecClassic, entities: Mapping[str, EntitySpec]) -> Field:
    read, accept = reader(spec.data_type, entities), spec.accept
    if isinstance(spec, AttrSpecObservations) and spec.multi_value:
        read, accept = _each(read), _each(accept)
    return Field(read, accept, spec.is_relation)


def _each(convert: Converter) -> Converter:
    def convert_all(values: Any) -> list[Any]:
        if type(values) is list:
            return [convert(value) for value in values]
        raise Reject(f"expected list, got {type(values).__name__}")

    return convert_all


def _reader(expr: TypeExpr, entities: Mapping[str, EntitySpec]) -> Converter:
    if isinstance(expr, Primitive):
        return PRIMITIVE_TYPES[expr.name].to_hook
    if isinstance(expr, ListOf):
        return _each(_reader(expr.elem, entities))
    if isinstance(expr, OneOf):
        return PRIMITIVE_TYPES[expr.type.name].codec.from_wire
    if isinstance(expr, LinkTo):
        return _link_reader(expr, entities)
    return _dict_reader(expr, entities)


def _eid_reader(entity: EntitySpec) -> Converter:
    return PRIMITIVE_TYPES[str(entity.id_data_type)].to_hook


def _link_reader(expr: LinkTo, entities: Mapping[str, EntitySpec]) -> Converter:
    read_eid = _eid_reader(entities[expr.etype])
    if expr.data is not None:
        return _object_reader({"eid": read_eid, "data": _reader(expr.data, entities)})
    if read_eid is identity:
        return lambda link: {"eid": link["eid"]}
    return lambda link: {"eid": read_eid(link["eid"])}


def _dict_reader(expr: DictOf, entities: Mapping[str, EntitySpec]) -> Converter:
    return _object_reader({key.name: _or_none(_reader(key.type, entities)) for key in expr.keys})


def _object_reader(readers: Mapping[str, Converter]) -> Converter:
    parts = tuple(readers.items())

    def read_object(value: Any) -> dict[str, Any]:
        return {name: read(value[name]) for name, read in parts}

    return read_object


def _or_none(read: Callable[[Any], Any]) -> Converter:
    return lambda value: None if value is None else read(value)
