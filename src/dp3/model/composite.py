"""Codecs of composite data types."""

import warnings
from collections.abc import Callable, Mapping, Set
from enum import Enum
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
    create_model,
)

from dp3.model.entityspec import EntitySpec
from dp3.model.errors import Reject, did_you_mean
from dp3.model.primitives import PRIMITIVE_TYPES, Codec, Converter, identity
from dp3.model.type_text import DictKey, DictOf, LinkTo, ListOf, OneOf, Primitive, TypeExpr
from dp3.model.wire import encode_value

Model = TypeVar("Model", bound=BaseModel)


class Link(BaseModel):
    """Base of all link values: `eid` of the configured Python type and, where configured, `data`."""

    model_config = ConfigDict(extra="forbid")

    eid: Any


class DictValue(BaseModel):
    """Base of all dict values; keys are attributes. Unknown keys of the input are left out; `UnknownKeys` of
    the type finds them."""

    model_config = ConfigDict(protected_namespaces=())


def compile_type(expr: TypeExpr, entities: Mapping[str, EntitySpec]) -> Codec:
    """The codec of a data type. Raises `ValueError` for an unknown link target or a bad category value."""
    if isinstance(expr, Primitive):
        return PRIMITIVE_TYPES[expr.name].codec
    if isinstance(expr, LinkTo):
        return _link(expr, entities)
    if isinstance(expr, ListOf):
        return _set(expr, entities) if expr.kind == "set" else _array(compile_type(expr.elem, entities))
    if isinstance(expr, DictOf):
        return _dict(expr)
    return _category(expr)


def list_of(annotation: Any) -> Any:
    """The annotation of a list of such values."""
    return list[annotation]


def _array(elem: Codec) -> Codec:
    return Codec(
        list_of(elem.annotation),
        _list_acceptor(elem.accept),
        _list_writer(elem.to_wire),
        _list_reader(elem.from_wire),
    )


def _list_acceptor(accept: Converter) -> Converter:
    def accept_list(values: Any) -> list[Any]:
        if type(values) is list:
            return [accept(v) for v in values]
        raise Reject

    return accept_list


def _list_writer(write: Converter) -> Converter:
    def to_wire(values: Any) -> list[Any]:
        if isinstance(values, list | tuple | set | frozenset):
            return [write(v) for v in values]
        raise Reject(f"expected list, got {type(values).__name__}")

    return to_wire


def _list_reader(read: Converter) -> Converter:
    def from_wire(values: Any) -> list[Any]:
        return [read(v) for v in values]

    return from_wire


def _set(expr: ListOf, entities: Mapping[str, EntitySpec]) -> Codec:
    """Like an array, but in both forms without duplicates and in the order of the wire values."""
    array = _array(compile_type(expr.elem, entities))
    free = not isinstance(expr.elem, Primitive) or PRIMITIVE_TYPES[expr.elem.name].free
    unique = _unique_by_encoding if free else _unique_scalars

    def normalise(values: list[Any]) -> list[Any]:
        return array.from_wire(unique(array.to_wire(values)))  # type: ignore[no-any-return]

    return Codec(
        Annotated[array.annotation, AfterValidator(normalise)],
        lambda values: unique(array.accept(values)),
        lambda values: unique(array.to_wire(values)),
        array.from_wire,
    )


def _unique_scalars(values: list[Any]) -> list[Any]:
    return sorted(set(values))


def _unique_by_encoding(values: list[Any]) -> list[Any]:
    keyed = {encode_value(v): v for v in values}
    return [keyed[key] for key in sorted(keyed)]


def _link(expr: LinkTo, entities: Mapping[str, EntitySpec]) -> Codec:
    if expr.etype not in entities:
        near = did_you_mean(expr.etype, entities)
        raise ValueError(f"Entity type '{expr.etype}' is not defined{near}")
    parts = {"eid": entities[expr.etype].id_data_type.codec}
    if expr.data is not None:
        parts["data"] = compile_type(expr.data, entities)
    fields: dict[str, Any] = {name: (part.annotation, ...) for name, part in parts.items()}
    model = create_model(f"Link_{expr.etype.replace('-', '_')}", __base__=Link, **fields)
    accept = _link_acceptor(parts["eid"].accept) if expr.data is None else _link_data_acceptor(parts)
    return Codec(model, accept, _object_writer(model, parts), _object_reader(model, parts))


def _link_acceptor(accept_eid: Converter) -> Converter:
    def accept_link(value: Any) -> dict[str, Any]:
        if type(value) is dict and len(value) == 1 and "eid" in value:
            return {"eid": accept_eid(value["eid"])}
        raise Reject

    return accept_link


def _link_data_acceptor(parts: Mapping[str, Codec]) -> Converter:
    accept_eid, accept_data = parts["eid"].accept, parts["data"].accept

    def accept_link(value: Any) -> dict[str, Any]:
        if type(value) is dict and len(value) == 2 and "eid" in value and "data" in value:
            return {"eid": accept_eid(value["eid"]), "data": accept_data(value["data"])}
        raise Reject

    return accept_link


def _dict(expr: DictOf) -> Codec:
    parts = {key.name: _optional(PRIMITIVE_TYPES[key.type.name].codec, key) for key in expr.keys}
    mandatory = frozenset(key.name for key in expr.keys if not key.optional)
    fields: dict[str, Any] = {
        name: (part.annotation, ... if name in mandatory else None) for name, part in parts.items()
    }
    model = model_with_fields("DictValue", DictValue, fields)
    acceptors = [(name, part.accept) for name, part in parts.items()]

    def accept_dict(value: Any) -> dict[str, Any]:
        if type(value) is dict and mandatory <= value.keys():
            return {name: accept(value.get(name)) for name, accept in acceptors}
        raise Reject

    return Codec(model, accept_dict, _object_writer(model, parts), _object_reader(model, parts))


def _optional(codec: Codec, key: DictKey) -> Codec:
    if not key.optional:
        return codec
    return Codec(
        codec.annotation | None,
        _none_or(codec.accept),
        _none_or(codec.to_wire),
        _none_or(codec.from_wire),
    )


def _none_or(convert: Converter) -> Converter:
    def convert_or_none(value: Any) -> Any:
        return None if value is None else convert(value)

    return convert_or_none


def _object_writer(model: type[BaseModel], parts: Mapping[str, Codec]) -> Converter:
    writers = [(name, part.to_wire) for name, part in parts.items()]

    def to_wire(value: Any) -> dict[str, Any]:
        if isinstance(value, model):
            state = value.__dict__
            return {name: write(state[name]) for name, write in writers}
        raise Reject(f"expected {model.__name__}, got {type(value).__name__}")

    return to_wire


def _object_reader(model: type[BaseModel], parts: Mapping[str, Codec]) -> Converter:
    readers = [(name, part.from_wire) for name, part in parts.items()]
    names = frozenset(parts)

    def from_wire(value: Any) -> BaseModel:
        return construct(model, {name: read(value[name]) for name, read in readers}, names)

    return from_wire


def construct(model: type[Model], values: dict[str, Any], fields_set: Set[str]) -> Model:
    """Does what `model.model_construct` does when all fields are given, several times as fast."""
    made = model.__new__(model)
    set_attribute = object.__setattr__
    set_attribute(made, "__dict__", values)
    set_attribute(made, "__pydantic_fields_set__", set(fields_set))
    set_attribute(made, "__pydantic_extra__", None)
    set_attribute(made, "__pydantic_private__", None)
    return made


def model_with_fields(name: str, base: type[BaseModel], fields: Mapping[str, Any]) -> type[BaseModel]:
    """A pydantic class whose fields may be called like its methods (`copy`, `json`)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Field name .* shadows an attribute", UserWarning)
        return create_model(name, __base__=base, **dict(fields))


def _category(expr: OneOf) -> Codec:
    elem = PRIMITIVE_TYPES[expr.type.name].codec
    typed = [_category_value(expr, word, elem) for word in expr.words]
    wire = [elem.to_wire(value) for value in typed]
    writer, reader = dict(zip(typed, wire, strict=True)), dict(zip(wire, typed, strict=True))
    members = [(f"v{i}", value) for i, value in enumerate(typed)]
    choices = Enum("Category", members)  # type: ignore[misc]
    return Codec(
        Annotated[choices, AfterValidator(lambda member: member.value), PlainSerializer(identity)],
        _member_acceptor(writer),
        _lookup(writer),
        reader.__getitem__,
    )


def category_values(expr: OneOf) -> dict[str, bytes]:
    """The words of a category and their encoded values. Raises `ValueError` for a word of another type."""
    elem = PRIMITIVE_TYPES[expr.type.name].codec
    return {word: encode_value(elem.to_wire(_category_value(expr, word, elem))) for word in expr.words}


def _category_value(expr: OneOf, word: str, elem: Codec) -> Any:
    try:
        value = TypeAdapter(elem.annotation).validate_python(word)
        hash(value)
    except (ValidationError, TypeError):
        raise ValueError(
            f"Data type '{expr}' is not supported: value '{word}' is not a {expr.type}"
        ) from None
    return value


def _member_acceptor(writer: Mapping[Any, Any]) -> Converter:
    kinds: set[type] = {type(v) for v in writer}

    def accept_member(value: Any) -> Any:
        if type(value) in kinds and value in writer:
            return writer[value]
        raise Reject

    return accept_member


def _lookup(writer: Mapping[Any, Any]) -> Callable[[Any], Any]:
    def to_wire(value: Any) -> Any:
        if value in writer:
            return writer[value]
        raise Reject(f"expected one of {list(writer)}")

    return to_wire
