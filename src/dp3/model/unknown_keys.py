"""Keys of objects inside values that the data type does not know, and which have no effect therefore."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from dp3.model.type_text import DictOf, LinkTo, ListOf, TypeExpr


class UnknownKey(NamedTuple):
    """`path` leads through a value to the key, which is its last part; `sent` is what was there, and `known`
    are the keys that mean something in its place."""

    path: tuple[str | int, ...]
    sent: Any
    known: tuple[str, ...]


UnknownKeys = Callable[[Any], Iterable[UnknownKey]]
"""JSON value → its unknown keys; `()`, which is false, if there are none. Parts of a value that are not of
its type have none."""


def unknown_keys_of(expr: TypeExpr) -> UnknownKeys | None:
    """The finder of unknown keys in values of a data type; None if there can be none."""
    if isinstance(expr, DictOf):
        return all_but(key.name for key in expr.keys)
    if isinstance(expr, ListOf):
        inner = unknown_keys_of(expr.elem)
        return inner and _in_elements(inner)
    if isinstance(expr, LinkTo) and expr.data is not None:
        inner = unknown_keys_of(expr.data)
        return inner and _in_data(inner)
    return None


def all_but(names: Iterable[str]) -> UnknownKeys:
    """The finder of keys of an object that have none of these names."""
    listed = tuple(names)
    known = frozenset(listed)
    knows_all = known.issuperset

    def find(value: Any) -> Iterable[UnknownKey]:
        if not isinstance(value, dict) or knows_all(value):
            return ()
        return (UnknownKey((key,), sent, listed) for key, sent in value.items() if key not in known)

    return find


def _in_elements(inner: UnknownKeys) -> UnknownKeys:
    def find(values: Any) -> Iterable[UnknownKey]:
        if not isinstance(values, list) or not any(map(inner, values)):
            return ()
        return (_below(i, found) for i, value in enumerate(values) for found in inner(value))

    return find


def _in_data(inner: UnknownKeys) -> UnknownKeys:
    def find(value: Any) -> Iterable[UnknownKey]:
        found = inner(value.get("data")) if isinstance(value, dict) else ()
        return found and (_below("data", one) for one in found)

    return find


def _below(part: str | int, found: UnknownKey) -> UnknownKey:
    return UnknownKey((part, *found.path), found.sent, found.known)
