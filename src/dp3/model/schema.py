"""The meaning that a model gives to stored data, and the changes that leave data without meaning. Pure.

Settings that only say how data is read or how long it is kept (validity, lifetimes, names) are no part of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

import msgspec

from dp3.model.attrspec import AttrSpecObservations, AttrSpecReadOnly, AttrSpecTimeseries, AttrSpecType
from dp3.model.composite import category_values
from dp3.model.primitives import PRIMITIVE_TYPES
from dp3.model.spec import ModelSpec
from dp3.model.type_text import DictOf, LinkTo, ListOf, OneOf, Primitive, TypeExpr, parse_type

MIRROR = "mirror"
"""The kind of attributes that show links from elsewhere."""


class AttrSchema(msgspec.Struct, frozen=True, omit_defaults=True):
    """One attribute. `data_type` is the text of its type without a mirror, `source` the relation that a
    mirror shows, `step` the distance (µs) of the rows of a regular timeseries."""

    kind: str
    data_type: str = ""
    multi_value: bool = False
    source: str = ""
    timeseries_type: str = ""
    series: dict[str, str] = {}
    step: int = 0

    @property
    def described(self) -> str:
        """In a few words, for messages."""
        return " ".join(filter(None, (self.timeseries_type, self.kind, self.data_type)))


class TypeSchema(msgspec.Struct, frozen=True):
    """One entity type."""

    id_data_type: str
    attribs: dict[str, AttrSchema]


Schema = dict[str, TypeSchema]

_decode = msgspec.json.Decoder(Schema).decode
_encode = msgspec.json.Encoder(order="sorted").encode


def decode_schema(text: str) -> Schema:
    """The inverse of `encode_schema`; raises `msgspec.MsgspecError` for anything else."""
    return _decode(text)


def encode_schema(schema: Schema) -> str:
    """The schema as text; equal for equal schemas."""
    return _encode(schema).decode()


def schema_of(model: ModelSpec) -> Schema:
    """The meaning that a model gives to stored data."""
    sources = {
        (spec.relation_to, spec.mirror_as): f"{etype}.{attr}"
        for (etype, attr), spec in model.relations.items()
        if spec.mirror_as
    }
    return {
        etype: TypeSchema(
            str(entity.id_data_type),
            {
                attr: _attr_schema(spec, sources.get((etype, attr), ""))
                for attr, spec in model.entity_attributes[etype].items()
            },
        )
        for etype, entity in model.entities.items()
    }


def _attr_schema(spec: AttrSpecType, source: str) -> AttrSchema:
    if isinstance(spec, AttrSpecTimeseries):
        series = {name: str(one.data_type) for name, one in spec.series.items()}
        step = (spec.timeseries_params.time_step or timedelta(0)) // timedelta(microseconds=1)
        step = step if spec.timeseries_type == "regular" else 0
        return AttrSchema(spec.type, timeseries_type=spec.timeseries_type, series=series, step=step)
    if isinstance(spec, AttrSpecReadOnly):
        return AttrSchema(MIRROR, spec.data_type.type_info, source=source)
    several = isinstance(spec, AttrSpecObservations) and spec.multi_value
    return AttrSchema(spec.type, str(_without_mirror(spec.data_type.expr)), multi_value=several)


def _without_mirror(expr: TypeExpr) -> TypeExpr:
    if isinstance(expr, LinkTo):
        return LinkTo(expr.etype, expr.data)
    if isinstance(expr, ListOf) and isinstance(expr.elem, LinkTo):
        return ListOf(expr.kind, LinkTo(expr.elem.etype, expr.elem.data))
    return expr


class Loss(Enum):
    """The part of an attribute, or of an entity type, that loses its meaning."""

    ALL = "all"
    VALUES = "values"
    """Some of its values."""
    SNAPSHOTS = "snapshots"
    """Its values in snapshots; its history stays."""
    MIRROR = "mirror"
    """Its values in snapshots; it has no data of its own."""


@dataclass(frozen=True, slots=True)
class Change:
    """One destructive change: of an attribute, or of a whole entity type if `attr` is empty.

    `values`: those (encoded) that are lost with `Loss.VALUES`."""

    etype: str
    attr: str
    what: str
    loss: Loss = Loss.ALL
    values: frozenset[bytes] = frozenset()

    @property
    def place(self) -> str:
        """The attribute or the type, for messages."""
        return f"{self.etype}.{self.attr}" if self.attr else self.etype


@dataclass(frozen=True, slots=True)
class Difference:
    """Places that are new or wider than before, and what leaves data without meaning."""

    added: tuple[str, ...]
    destroyed: tuple[Change, ...]


def compare(old: Schema, new: Schema) -> Difference:
    """The difference between two schemas, in the order of names."""
    added: list[str] = []
    destroyed: list[Change] = []
    for etype in sorted(old.keys() | new.keys()):
        if etype not in old:
            added.append(etype)
        elif etype not in new:
            destroyed.append(Change(etype, "", "removed"))
        elif (before := old[etype].id_data_type) != (now := new[etype].id_data_type):
            destroyed.append(Change(etype, "", f"ids were {before}, now {now}"))
        else:
            _compare_attrs(etype, old, new, added, destroyed)
    return Difference(tuple(added), tuple(destroyed))


def _compare_attrs(etype: str, old: Schema, new: Schema, added: list[str], destroyed: list[Change]) -> None:
    before, now = old[etype].attribs, new[etype].attribs
    for attr in sorted(before.keys() | now.keys()):
        if attr not in before:
            added.append(f"{etype}.{attr}")
        elif what := _other_meaning(before[attr], now.get(attr)) or _other_target(before[attr], old, new):
            loss = Loss.MIRROR if before[attr].kind == MIRROR else Loss.ALL
            destroyed.append(Change(etype, attr, what, loss))
        else:
            lost = list(_lost_parts(etype, attr, before[attr], now[attr]))
            destroyed.extend(lost)
            if not lost and before[attr] != now[attr]:
                added.append(f"{etype}.{attr}")


def _other_meaning(old: AttrSchema, new: AttrSchema | None) -> str:
    """The reason why nothing stored of an attribute can be read with its new form; empty if it can."""
    if new is None:
        return f"removed (was {old.described})"
    if (old.kind, old.timeseries_type) != (new.kind, new.timeseries_type):
        return f"was {old.described}, now {new.described}"
    if old.source != new.source:
        return f"mirrored {old.source}, now {new.source}"
    if (old.series, old.step) != (new.series, new.step):
        return "its series or their time step changed"
    if old.data_type and not _fits(parse_type(old.data_type), parse_type(new.data_type)):
        return f"was {old.described}, now {new.described}"
    return ""


def _other_target(attr: AttrSchema, old: Schema, new: Schema) -> str:
    """A reason if links that look the same lead to entities with other ids, else an empty text."""
    expr = parse_type(attr.data_type) if attr.data_type else None
    target = expr.elem if isinstance(expr, ListOf) else expr
    if not isinstance(target, LinkTo) or target.etype not in old or target.etype not in new:
        return ""
    before, now = old[target.etype].id_data_type, new[target.etype].id_data_type
    return "" if before == now else f"links to {target.etype}, whose ids were {before}, now {now}"


def _lost_parts(etype: str, attr: str, old: AttrSchema, new: AttrSchema) -> Iterator[Change]:
    """The losses of an attribute the rest of which keeps its meaning."""
    before, now = (parse_type(schema.data_type) if schema.data_type else None for schema in (old, new))
    if isinstance(before, OneOf) and isinstance(now, OneOf):
        values, left = category_values(before), set(category_values(now).values())
        if gone := [word for word in before.words if values[word] not in left]:
            lost = frozenset(values[word] for word in gone)
            yield Change(etype, attr, f"no longer {', '.join(gone)}", Loss.VALUES, lost)
    if old.multi_value != new.multi_value:
        numbers = ("one value at a time", "several values at a time")
        what = f"had {numbers[old.multi_value]}, now {numbers[new.multi_value]}"
        yield Change(etype, attr, what, Loss.SNAPSHOTS)


def _fits(old: TypeExpr, new: TypeExpr, *, whole: bool = True) -> bool:
    """True if stored values of one type are values of the other with the same meaning. The words of a
    category are compared elsewhere if it is the `whole` type."""
    if isinstance(old, Primitive) and isinstance(new, Primitive):
        return old == new or new.name in PRIMITIVE_TYPES[old.name].fits
    if isinstance(old, ListOf) and isinstance(new, ListOf):
        return old.kind == new.kind and _fits(old.elem, new.elem, whole=False)
    if isinstance(old, LinkTo) and isinstance(new, LinkTo):
        return old.etype == new.etype and _data_fits(old.data, new.data)
    if isinstance(old, DictOf) and isinstance(new, DictOf):
        return _keys_fit(old, new)
    if isinstance(old, OneOf) and isinstance(new, OneOf):
        return _fits(old.type, new.type) and (whole or set(old.words) <= set(new.words))
    return False


def _data_fits(old: TypeExpr | None, new: TypeExpr | None) -> bool:
    if old is None or new is None:
        return old is new
    return _fits(old, new, whole=False)


def _keys_fit(old: DictOf, new: DictOf) -> bool:
    """Stored objects have all keys of their type, optional ones perhaps null."""
    before, now = ({key.name: key for key in expr.keys} for expr in (old, new))
    return before.keys() == now.keys() and all(
        _fits(key.type, now[name].type) and key.optional <= now[name].optional for name, key in before.items()
    )
