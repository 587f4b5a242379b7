"""Snapshots as correlation hooks get them, and what is stored of what hooks made of them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from dp3.engine.jobs.snapshots.doc import CONFIDENCE, Doc, expand
from dp3.engine.jobs.snapshots.fields import Field, RecordPlan
from dp3.engine.jobs.snapshots.hook_output import wire_value
from dp3.history.confidence import Terms
from dp3.hooks.outcome import bounded_repr
from dp3.model.canonical import checked_text, copied
from dp3.model.primitives import Converter
from dp3.model.wire import encode_value

RESERVED = frozenset({"_time_created"})
"""Names that readers of snapshots see with another meaning."""

_CONTAINERS = (dict, list)
_RECORD = frozenset({"record"})
_ABSENT = object()

_MISFITS = (ValueError, TypeError, KeyError, AttributeError)
"""What converting a value of another type than expected can raise."""


class Record(NamedTuple):
    """`values` is the dictionary that hooks get and change. `before` holds the values that it had, so that
    what is still the same object is known to be unchanged, unless it can be changed in place."""

    doc: Doc
    values: dict[str, Any]
    before: Mapping[str, Any]
    wires: Mapping[str, Any]


class Settled(NamedTuple):
    """The snapshot after all hooks. `problems`: name → why what a hook left there is not in it."""

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
    for name, wire in wires.items():
        if name in readers or type(wire) in _CONTAINERS:
            values[name] = _typed(readers.get(name, copied), wire)
    return Record(doc, values, dict(values), wires)


def settle(record: Record, plan: RecordPlan) -> Settled:
    """What is to be stored: unchanged values as they were, changed ones in wire form without `record`s.

    Confidences that are still what their terms say keep their terms, others become literals. A value that
    cannot be stored is left out and reported; nothing else suffers.
    """
    values, before = record.values, record.before
    suspects = [
        (name, value)
        for name, value in values.items()
        if value is not before.get(name, _ABSENT) or type(value) in _CONTAINERS
    ]
    changed: dict[Any, Any] = {}
    problems: dict[str, str] = {}
    for name, value in suspects:
        try:
            if name in before and _is_untouched(value, record.wires[name]):
                continue
            changed[name] = _settled_value(name, value, record, plan.fields.get(name))
        except Exception as error:  # whatever a foreign object does when it is looked at
            changed[name] = _ABSENT
            problems[name if isinstance(name, str) else bounded_repr(name)] = _reason(error)
    if not changed and len(values) == len(before):
        return Settled(record.doc, problems)
    wires = {
        name: changed[name] if name in changed else record.wires[name]
        for name in values
        if changed.get(name) is not _ABSENT
    }
    if wires.get("eid") != record.doc.values["eid"]:
        problems.setdefault("eid", "the id of an entity cannot be changed")
    wires["eid"] = record.doc.values["eid"]
    return Settled(_assembled(record, wires, plan), problems)


def _typed(read: Converter, wire: Any) -> Any:
    try:
        return read(wire)
    except _MISFITS:
        return copied(wire)


def _is_untouched(value: Any, wire: Any) -> bool:
    """Whether a list or a single link is evidently what it was; others have to be looked at closely."""
    if type(value) is list and type(wire) is list:
        return len(value) == len(wire) and all(map(_is_same_scalar, value, wire))
    if type(value) is dict and type(wire) is dict and "record" not in wire:
        return value.keys() - _RECORD == wire.keys() and all(
            map(_is_same_scalar, map(value.get, wire), wire.values())
        )
    return False


def _is_same_scalar(a: Any, b: Any) -> bool:
    """Immutable and the same object."""
    return a is b and type(a) not in _CONTAINERS


def _settled_value(name: Any, value: Any, record: Record, field: Field | None) -> Any:
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
    """Whether a value is what it was; data that looks like a record counts as one in both."""
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
