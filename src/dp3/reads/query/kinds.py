"""Comparison of values: documents hold wire values, queries JSON and what magic strings stand for.

Both become `Comparable`s: a rank, which is the same for all values that can be compared with each other,
and a value. Ranks are in MongoDB's order of types.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticKnownError

from dp3.model.canonical import INT64_MAX, INT64_MIN, json_value
from dp3.model.primitives import PRIMITIVE_TYPES, Family, PrimitiveType
from dp3.model.unix_time import read_unix_time
from dp3.reads.errors import QueryError

Comparable = tuple[int, Any]

NULL, NUMBER, TEXT, OBJECT, LIST, ADDRESS, BOOL, TIME = 1, 2, 3, 4, 5, 6, 8, 9

NONE: Comparable = (NULL, None)

INT32_BELOW = 1 << 31


class Kind:
    """The kind of the scalars at a place.

    `rank` is theirs, None where anything may stand (inside `json`, or what modules add). `read` takes a query
    value to its wire form, or raises `ValueError`; `pack` takes a wire text to its index key."""

    __slots__ = ("_pack", "_read", "rank")

    def __init__(
        self,
        rank: int | None,
        read: Callable[[Any], Any] | None = None,
        pack: Callable[[str], Any] | None = None,
    ) -> None:
        self.rank = rank
        self._read = read
        self._pack = pack

    def of_document(self, value: Any) -> Comparable:
        """A value in a document."""
        if self._pack is not None and type(value) is str and self.rank is not None:
            try:
                return self.rank, self._pack(value)
            except ValueError:
                return TEXT, value
        return plain(value)

    def of_query(self, literal: Any) -> Comparable:
        """A value in a query: of the kind of the place if an attribute of its type would take it. Raises
        `QueryError` for a number that may be two times."""
        wire = literal if isinstance(literal, dict | list) else _wire(literal)
        if self._read is not None and type(wire) in (str, int, float):
            try:
                return self.of_document(self._read(wire))
            except QueryError:
                raise
            except ValueError:
                return plain(wire)
        return plain(wire)


ANY = Kind(None)


def plain(value: Any) -> Comparable:
    """A JSON value (typed values of magic strings inside count as their text)."""
    kind = type(value)
    if kind is str:
        return TEXT, value
    if kind is bool:
        return BOOL, value
    if kind is int:
        return NUMBER, value if INT64_MIN <= value <= INT64_MAX else _float(value)
    if kind is float:
        return NUMBER, value
    if value is None:
        return NONE
    if kind is dict:
        return OBJECT, tuple(_part(name, value[name]) for name in sorted(value))
    if kind is list:
        return LIST, tuple(plain(item) for item in value)
    return plain(_wire(value))


def _part(name: str, value: Any) -> tuple[int, str, Any]:
    """Objects are compared key by key, of each the type first, then the name, then the value."""
    rank, comparable = plain(value)
    return rank, name, comparable


_RANKS: Mapping[Family, int] = {
    "bool": BOOL,
    "text": TEXT,
    "number": NUMBER,
    "address": ADDRESS,
    "time": TIME,
}


def kinds_by_type() -> Mapping[str, Kind]:
    """Name of each primitive data type → the kind of its values."""
    return {name: _kind(row) for name, row in PRIMITIVE_TYPES.items()}


def _kind(row: PrimitiveType) -> Kind:
    """Addresses and times are text in documents and compare as their keys do, all others as they are."""
    if row.family == "free":
        return ANY
    if row.family in ("address", "time"):
        return Kind(_RANKS[row.family], _reader(row), row.to_index)
    return Kind(_RANKS[row.family])


def _reader(row: PrimitiveType) -> Callable[[Any], Any]:
    validate, to_wire = TypeAdapter(row.codec.annotation).validate_python, row.codec.to_wire

    def read(value: Any) -> Any:
        if row.family == "address" and type(value) is not str:
            raise ValueError("an address is a text")
        if row.family == "time":
            _refuse_unclear(value)
        try:
            return to_wire(validate(value))
        except ValidationError as error:
            raise ValueError(str(error)) from None

    return read


def _refuse_unclear(value: Any) -> None:
    """Raise `QueryError` for a number that is no time: it would match nothing, silently."""
    try:
        read_unix_time(value)
    except PydanticKnownError as error:
        raise QueryError(f"Invalid generic filter: {error.message()}") from None


def _wire(value: Any) -> Any:
    """The wire form of a scalar; integers of any size."""
    return value if type(value) is int else json_value(value)


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def type_matches(value: Comparable, name: str) -> bool:
    """True for a value of the type that `$type` calls so."""
    return _TYPES[name](value)


def type_name(given: Any) -> str | None:
    """The name of a type given to `$type` by name or number; None if there is no such type."""
    if isinstance(given, str):
        return given if given in _TYPES else None
    if isinstance(given, int | float) and not isinstance(given, bool):
        return _NUMBERS.get(given)
    return None


def _of_rank(rank: int) -> Callable[[Comparable], bool]:
    return lambda value: value[0] == rank


def _is_int(value: Comparable) -> bool:
    return type(value[1]) is int and value[0] == NUMBER and -INT32_BELOW <= value[1] < INT32_BELOW


def _is_long(value: Comparable) -> bool:
    return type(value[1]) is int and value[0] == NUMBER and not _is_int(value)


_TYPES: Mapping[str, Callable[[Comparable], bool]] = {
    "double": lambda value: type(value[1]) is float,
    "string": _of_rank(TEXT),
    "object": _of_rank(OBJECT),
    "array": _of_rank(LIST),
    "binData": _of_rank(ADDRESS),
    "bool": _of_rank(BOOL),
    "date": _of_rank(TIME),
    "null": _of_rank(NULL),
    "int": _is_int,
    "long": _is_long,
    "number": _of_rank(NUMBER),
}

_NUMBERS: Mapping[int | float, str] = {
    1: "double",
    2: "string",
    3: "object",
    4: "array",
    5: "binData",
    8: "bool",
    9: "date",
    10: "null",
    16: "int",
    18: "long",
}
