"""Records: the values of entities as correlation hooks get them, and what is kept of what hooks made of them.

`open_record` is called for each entity before the first hook, `close_record` after the last one.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, islice
from operator import is_
from typing import Any, NamedTuple

import msgspec

from dp3.engine.jobs.snapshots.doc import CONFIDENCE, Doc, expand
from dp3.history.confidence import Terms
from dp3.hooks.outcome import bounded_repr
from dp3.model.attrspec import AttrSpecClassic, AttrSpecObservations
from dp3.model.canonical import MAX_DEPTH, checked_text, copied, json_value, size_problem
from dp3.model.entityspec import EntitySpec
from dp3.model.errors import Reject
from dp3.model.primitives import PRIMITIVE_TYPES, Converter, identity
from dp3.model.spec import ModelSpec
from dp3.model.type_text import DictOf, LinkTo, ListOf, OneOf, Primitive, TypeExpr
from dp3.model.wire import encode_value

RESERVED = frozenset({"_time_created"})
"""Names that readers of snapshots see with another meaning."""

_CONTAINERS = frozenset((dict, list))
_is_container = _CONTAINERS.__contains__
_RECORD = frozenset({"record"})
_ABSENT = object()

_MISFITS = (ValueError, TypeError, KeyError, AttributeError)
"""Errors that converting a value of another type than expected can raise."""

MAX_PARTS = 100_000
"""Elements that one value may have in all its containers; one that occurs twice counts twice."""

_COPIED = (dict, list, tuple)


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


class Record(msgspec.Struct, gc=False):
    """An entity while hooks run. `values` is the dictionary that hooks get and change. `before` holds the
    values that it had, so that what is still the same object is known to be unchanged, unless it can be
    changed in place, as `containers` (names) can; `wires` are those in wire form."""

    doc: Doc
    values: dict[str, Any]
    before: Mapping[str, Any]
    wires: Mapping[str, Any]
    containers: Sequence[str]


class ClosedRecord(NamedTuple):
    """A snapshot after all hooks. `problems`: name → why what a hook left there is not in it."""

    doc: Doc
    problems: dict[str, str]


def open_record(doc: Doc, plan: RecordPlan, t: int) -> Record:
    """The values of a computed snapshot, typed, with `#c` as of `t` (µs).

    Links are `{"eid": …[, "data": …]}`. Nothing in the record is shared with the document. A value that does
    not fit the model (any more) is given in wire form.
    """
    wires = expand(doc, t)
    values = dict(wires)
    readers = plan.readers
    containers = [*compress(wires, map(_is_container, map(type, wires.values())))]
    for name in containers:
        values[name] = _typed(readers.get(name, copied), wires[name])
    for name, read in readers.items():
        if name in wires and name not in containers:
            values[name] = _typed(read, wires[name])
    return Record(doc, values, dict(values), wires, containers)


def close_record(record: Record, plan: RecordPlan, max_value: int) -> ClosedRecord:
    """The snapshot to be stored: unchanged values as they were, changed ones in wire form without `record`s.

    Confidences that are still what their terms say keep their terms, others become literals. A value that
    cannot be stored, or was changed and has more than `max_value` bytes of JSON, is left out and reported;
    nothing else suffers.
    """
    values, before = record.values, record.before
    changed: dict[Any, Any] = {}
    problems: dict[str, str] = {}
    for name in _suspects(record):
        value = values[name]
        try:
            if name in before and _is_untouched(value, record.wires[name]):
                continue
            closed = _closed_value(name, value, record, plan.fields.get(name))
            if closed is not record.wires.get(name, _ABSENT) and (problem := size_problem(closed, max_value)):
                raise ValueError(problem)
            changed[name] = closed
        except Exception as error:  # whatever a foreign object does when it is looked at
            changed[name] = _ABSENT
            problems[name if isinstance(name, str) else bounded_repr(name)] = _reason(error)
    if not changed and len(values) == len(before):
        return ClosedRecord(record.doc, problems)
    if not problems and (doc := _with_attributes(record, changed, plan)) is not None:
        return ClosedRecord(doc, problems)
    wires = {
        name: changed[name] if name in changed else record.wires[name]
        for name in values
        if changed.get(name) is not _ABSENT
    }
    if wires.get("eid") != record.doc.values["eid"]:
        problems.setdefault("eid", "the id of an entity cannot be changed")
    wires["eid"] = record.doc.values["eid"]
    return ClosedRecord(_assembled(record, wires, plan), problems)


def _suspects(record: Record) -> Iterable[Any]:
    """The names of values that are not the same objects as before, or can be changed in place."""
    values, before = record.values, record.before
    if (
        len(values) >= len(before)
        and all(map(is_, values, before))
        and all(map(is_, values.values(), before.values()))
    ):
        return [*record.containers, *islice(values, len(before), None)]  # nothing was done but adding
    return [
        name
        for name, value in values.items()
        if value is not before.get(name, _ABSENT) or type(value) in _CONTAINERS
    ]


def _typed(read: Converter, wire: Any) -> Any:
    try:
        return read(wire)
    except _MISFITS:
        return copied(wire)


def _is_untouched(value: Any, wire: Any) -> bool:
    """True if a list or a single link is evidently what it was; others have to be looked at closely."""
    if type(value) is list and type(wire) is list:
        return len(value) == len(wire) and _are_same_scalars(value, wire)
    if type(value) is dict and type(wire) is dict and "record" not in wire:
        return value.keys() - _RECORD == wire.keys() and _are_same_scalars(
            map(value.get, wire), wire.values()
        )
    return False


def _are_same_scalars(some: Iterable[Any], others: Collection[Any]) -> bool:
    """Immutable and the same objects."""
    return all(map(is_, some, others)) and _CONTAINERS.isdisjoint(map(type, others))


def _closed_value(name: Any, value: Any, record: Record, field: Field | None) -> Any:
    """The wire form of a value; the very one that was there before, if nothing has changed."""
    known = name in record.before
    if not known:
        _check_name(name)
    relation = field is not None and field.relation
    wire = wire_value(value, relation=relation)
    if known and _is_same(wire, record.wires[name], relation):
        return record.wires[name]
    return _canonical(wire, field)


def _is_same(wire: Any, before: Any, relation: bool) -> bool:
    """True if a value is what it was; data that looks like a record counts as one in both."""
    encoded = encode_value(wire)
    return encoded == encode_value(before) or (
        isinstance(before, dict | list) and encoded == encode_value(wire_value(before, relation=relation))
    )


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not name or name in RESERVED:
        raise ValueError("the name of a value must be text and not reserved")
    checked_text(name)


def _canonical(wire: Any, field: Field | None) -> Any:
    """The value as a data-point would have brought it, if it is one of the attribute's type."""
    if field is None:
        return wire
    try:
        return field.accept(wire)
    except _MISFITS:
        return wire


def _reason(error: Exception) -> str:
    return f"cannot be stored: {type(error).__name__}: {bounded_repr(str(error))}"


def _with_attributes(record: Record, changed: Mapping[Any, Any], plan: RecordPlan) -> Doc | None:
    """The document if nothing but values of attributes was set, which is mostly so; None if it was not."""
    doc, fields = record.doc, plan.fields
    if "eid" in changed or not (
        changed.keys() <= fields.keys() and record.before.keys() <= record.values.keys()
    ):
        return None
    known = {**doc.values, **changed}
    values = {name: known[name] for name in fields if name in known}
    return Doc(values, doc.terms, doc.literals) if len(values) == len(known) else None


def _assembled(record: Record, wires: Mapping[str, Any], plan: RecordPlan) -> Doc:
    """Attributes in the order of the model, then other values by name."""
    values = {name: wires[name] for name in plan.fields if name in wires}
    others = [name for name in wires if name not in values]
    values |= {name: wires[name] for name in sorted(others) if not name.endswith(CONFIDENCE)}
    terms: dict[str, Terms | list[Terms]] = {}
    literals = {}
    for name in others:
        if name.endswith(CONFIDENCE):
            attr = name.removesuffix(CONFIDENCE)
            if attr in record.doc.terms and attr in values and wires[name] is record.wires[name]:
                terms[attr] = record.doc.terms[attr]
            else:
                literals[name] = wires[name]
    return Doc(values, terms, literals)


# -- wire values as hooks see them ----------------------------------------------------------------------
def _field(spec: AttrSpecClassic, entities: Mapping[str, EntitySpec]) -> Field:
    read, accept = _reader(spec.data_type.expr, entities), spec.accept
    if isinstance(spec, AttrSpecObservations) and spec.multi_value:
        read, accept = _each(read), _each(accept)
    return Field(read, accept, spec.is_relation)


def _each(convert: Converter) -> Converter:
    def convert_all(values: Any) -> list[Any]:
        if type(values) is list:
            return [*values] if convert is identity else [convert(value) for value in values]
        raise Reject(f"expected list, got {type(values).__name__}")

    return convert_all


def _reader(expr: TypeExpr, entities: Mapping[str, EntitySpec]) -> Converter:
    """Wire value of a type → what hooks see."""
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


# -- what hooks left, in wire form ----------------------------------------------------------------------
def wire_value(value: Any, *, relation: bool = False) -> Any:
    """The wire form of a value, without the `record` of links in it.

    In the value of a `relation` every `record` beside an `eid` is left out, elsewhere those that are
    objects. Raises `ValueError` for what has no JSON form, for a value that contains itself and for one that
    is too large; objects of foreign classes may raise anything.
    """
    if isinstance(value, _COPIED):
        return json_value(_Copy(relation).of(value))
    return json_value(value)


class _Copy:
    """Copies containers, bounded in depth and size: hooks can build cycles, and worse."""

    def __init__(self, relation: bool) -> None:
        self._relation = relation
        self._open: set[int] = set()
        self._parts = 0

    def of(self, value: Any) -> Any:
        """A copy of a container; anything else is taken as it is."""
        if not isinstance(value, _COPIED):
            return value
        self._enter(value)
        copy = self._of_dict(value) if isinstance(value, dict) else [self.of(item) for item in value]
        self._open.remove(id(value))
        return copy

    def _enter(self, value: Any) -> None:
        if id(value) in self._open:
            raise ValueError("value contains itself")
        if len(self._open) == MAX_DEPTH:
            raise ValueError(f"value is nested more than {MAX_DEPTH} levels deep")
        self._parts += len(value)
        if self._parts > MAX_PARTS:
            raise ValueError(f"value has more than {MAX_PARTS} parts")
        self._open.add(id(value))

    def _of_dict(self, value: dict[Any, Any]) -> dict[Any, Any]:
        if self._has_record(value):
            return {key: self.of(item) for key, item in value.items() if key != "record"}
        return {key: self.of(item) for key, item in value.items()}

    def _has_record(self, value: dict[Any, Any]) -> bool:
        if "eid" not in value or "record" not in value:
            return False
        return self._relation or isinstance(value["record"], dict)
