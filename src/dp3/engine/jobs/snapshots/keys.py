"""Keys of the index of current values: one for each scalar in a snapshot, under its path.

| type                | path                                | key                              |
|---------------------|-------------------------------------|----------------------------------|
| tag, binary         | name of the attribute               | 0 or 1                           |
| int, int64, float   | name                                | the number                       |
| string              | name                                | the text                         |
| time                | name                                | µs since the epoch               |
| ipv4, ipv6, mac     | name                                | packed bytes (then `%scope`)     |
| link                | `name.eid`, `name.data` (and below) | as for the type of eid or data   |
| dict                | `name.key`                          | as for the type of the key       |
| array, set, several | that of the elements                | one for each element             |
| json, special       | dotted path, lists flattened        | number, text, bool as 0 or 1     |

Values that are no attributes count as json. So do those that are not of their attribute's type, which only
a module can have set; besides they leave the key 1 under the name of the attribute followed by `#odd`:
questions that rely on the type have to look at them. (Numbers are of the same type, whole or not.) Null has
no key, confidences (`#c`) have none. What is too large to be indexed leaves the key 1 under its path followed
by `#long`: a text above `MAX_TEXT` characters under its own path, a json value with more than `MAX_PATHS`
paths under that of the value. Every entity has a key under `eid`, long ids have both.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, TypeVar

from dp3.engine.jobs.snapshots.doc import Doc
from dp3.model.attrspec import AttrSpecClassic, AttrSpecObservations
from dp3.model.entityspec import EntitySpec
from dp3.model.primitives import PRIMITIVE_TYPES
from dp3.model.spec import ModelSpec
from dp3.model.type_text import DictOf, LinkTo, ListOf, OneOf, Primitive, TypeExpr
from dp3.model.wire import encode_value
from dp3.store.ports.snapshots import Key

T = TypeVar("T")

MAX_TEXT = 1_000
MAX_PATHS = 64
LONG = "#long"
ODD = "#odd"
EID = "eid"

PathKey: TypeAlias = tuple[str, Key]
_CONTAINERS = (dict, list)

KeysOf: TypeAlias = Callable[[Any], Sequence[PathKey]]
"""Wire value of an attribute → its keys; raises for a value of another type."""


@dataclass(frozen=True, slots=True)
class KeyPlan:
    """The way to the keys of an entity type. `kinds`: path → name of the primitive type of all values there;
    paths inside of json are not among them."""

    attrs: Mapping[str, KeysOf]
    kinds: Mapping[str, str]


def plan_keys(model: ModelSpec, etype: str) -> KeyPlan:
    """The plan of an entity type; raises `KeyError` if the model does not have it."""
    planner = _Planner(model.entities)
    eid = planner.primitive(EID, str(model.entities[etype].id_data_type))
    attrs: dict[str, KeysOf] = {EID: lambda wire: _with_whole_text(wire, eid(wire))}
    for name, spec in model.entity_attributes[etype].items():
        if isinstance(spec, AttrSpecClassic):
            keys = planner.keys(name, spec.data_type.expr)
            several = isinstance(spec, AttrSpecObservations) and spec.multi_value
            attrs[name] = _each(keys) if several else keys
    return KeyPlan(attrs, planner.kinds)


def keys_of(plan: KeyPlan, doc: Doc) -> set[PathKey]:
    """All keys of a snapshot."""
    return _keys_of(plan, doc.values.items())


def changed_keys(plan: KeyPlan, old: Doc, new: Doc) -> tuple[set[PathKey], set[PathKey]]:
    """The keys that the snapshot `new` has and `old` has not, and the other way round."""
    before, after = old.values, new.values
    if before.keys() | after.keys() <= plan.attrs.keys():  # their paths are their own
        kept = {name for name, value in after.items() if name in before and _is_same(value, before[name])}
        before = {name: value for name, value in before.items() if name not in kept}
        after = {name: value for name, value in after.items() if name not in kept}
    had, has = _keys_of(plan, before.items()), _keys_of(plan, after.items())
    return has - had, had - has


def _is_same(value: Any, other: Any) -> bool:
    """True if two wire values are evidently the same."""
    if type(value) is not type(other) or value != other:
        return False
    return type(value) not in _CONTAINERS or encode_value(value) == encode_value(other)


def _keys_of(plan: KeyPlan, values: Iterable[tuple[str, Any]]) -> set[PathKey]:
    attrs = plan.attrs
    found: list[PathKey] = []
    for name, value in values:
        keys = attrs.get(name)
        if value is None:
            continue
        if keys is None:
            found += free_keys(name, value)
            continue
        try:
            found += keys(value)
        except (ValueError, TypeError, KeyError, AttributeError):
            found += [*free_keys(name, value), (name + ODD, 1)]
    return set(found)


def free_keys(path: str, value: Any) -> list[PathKey]:
    """Keys of a value of which nothing is known."""
    keys: list[PathKey] = []
    paths = set()
    for at, scalar in _scalars(path, value):
        paths.add(at)
        if len(paths) > MAX_PATHS:
            return [*keys, (path + LONG, 1)]
        keys.append(_free_key(at, scalar))
    return keys


def _scalars(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Scalars below a path, in an order that does not depend on that of keys in objects."""
    if isinstance(value, dict):
        for key in sorted(value):
            if "." not in key:  # no dotted path leads there
                yield from _scalars(f"{path}.{key}", value[key])
    elif isinstance(value, list):
        for item in value:
            yield from _scalars(path, item)
    elif value is not None:
        yield path, value


def _free_key(path: str, scalar: Any) -> PathKey:
    if isinstance(scalar, str):
        return (path, scalar) if len(scalar) <= MAX_TEXT else (path + LONG, 1)
    return path, int(scalar) if isinstance(scalar, bool) else scalar


def _checked(wire: Any, kind: type[T]) -> T:
    if type(wire) is kind:
        return wire
    raise TypeError(f"expected {kind.__name__}, got {type(wire).__name__}")


class _Planner:
    """Compiles types into key functions and notes the kind of each path on the way."""

    def __init__(self, entities: Mapping[str, EntitySpec]) -> None:
        self._entities = entities
        self.kinds: dict[str, str] = {}

    def keys(self, path: str, expr: TypeExpr) -> KeysOf:
        if isinstance(expr, Primitive):
            return self.primitive(path, expr.name)
        if isinstance(expr, OneOf):
            return self.primitive(path, expr.type.name)
        if isinstance(expr, ListOf):
            return _each(self.keys(path, expr.elem))
        if isinstance(expr, DictOf):
            return _parts({key.name: self.keys(f"{path}.{key.name}", key.type) for key in expr.keys})
        return self._link(path, expr)

    def primitive(self, path: str, kind: str) -> KeysOf:
        row = PRIMITIVE_TYPES[kind]
        convert = row.to_index
        if convert is None:
            return partial(free_keys, path)
        self.kinds[path] = kind
        if row.family == "text":
            return partial(_text_keys, path)
        return lambda wire: [(path, convert(wire))]

    def _link(self, path: str, expr: LinkTo) -> KeysOf:
        eid = self.primitive(f"{path}.eid", str(self._entities[expr.etype].id_data_type))
        if expr.data is None:
            return _parts({"eid": eid})
        return _parts({"eid": eid, "data": self.keys(f"{path}.data", expr.data)})


def _with_whole_text(wire: Any, keys: Sequence[PathKey]) -> Sequence[PathKey]:
    """By the key of its id each entity is known to have a snapshot."""
    return keys if keys[0][0] == EID else [(EID, wire), *keys]


def _text_keys(path: str, wire: str) -> list[PathKey]:
    if type(wire) is str and len(wire) <= MAX_TEXT:
        return [(path, wire)]
    return [_free_key(path, _checked(wire, str))]


def _each(keys: KeysOf) -> KeysOf:
    return lambda values: [key for value in _checked(values, list) for key in keys(value)]


def _parts(parts: Mapping[str, KeysOf]) -> KeysOf:
    """Keys of an object with exactly these parts; those that are null have none."""

    def keys(value: Any) -> list[PathKey]:
        if value.keys() != parts.keys():
            raise ValueError(f"expected the keys {', '.join(parts)}, got {', '.join(value)}")
        return [key for name, of in parts.items() if value[name] is not None for key in of(value[name])]

    return keys
