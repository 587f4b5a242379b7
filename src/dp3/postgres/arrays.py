"""Columns of values as PostgreSQL takes arrays in binary form.

An array is a header, then for each element its length and its bytes; a length of -1 is null.
"""

from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from struct import Struct
from sys import byteorder
from typing import Any, cast

from psycopg import Connection
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.postgres import types
from psycopg.pq import Format

from dp3.postgres.values import escaped

_HEADER = Struct(">iiI").pack  # dimensions, whether there may be nulls, type of the elements
_DIMENSION = Struct(">ii").pack  # length, first index
_LENGTH = Struct(">i").pack
_NULL = _LENGTH(-1)
_BIGINT = Struct(">iq").pack
_BIGINT_BYTES = 12
_BIGINT_LENGTH = _LENGTH(8)


class _Array(bytes):
    """An array in binary form."""


class _Bigints(_Array):
    pass


class _Byteas(_Array):
    pass


class _Texts(_Array):
    pass


def _dumper(name: str) -> type[Dumper]:
    class ArrayDumper(Dumper):
        format = Format.BINARY
        oid = types[name].array_oid

        def dump(self, obj: Buffer) -> Buffer:
            """The buffer itself."""
            return obj

    return ArrayDumper


_DUMPERS = {_Bigints: _dumper("int8"), _Byteas: _dumper("bytea"), _Texts: _dumper("text")}


def register_arrays(connection: Connection[Any]) -> None:
    """Have a connection take columns that `column(...)` makes."""
    for class_, dumper in _DUMPERS.items():
        connection.adapters.register_dumper(class_, dumper)


def column(type_: str, values: Sequence[Any]) -> bytes:
    """The values of a column of a type (`bigint`, `bytea`, `text`, or one that is written as they are); None
    is null. Raises `OverflowError` for a number that is no `bigint`."""
    return _COLUMNS[type_](values)


def _bigints(values: Sequence[int | None]) -> bytes:
    try:
        numbers = array("q", cast(Sequence[int], values))
    except TypeError:
        packed = (_NULL if value is None else _BIGINT(8, value) for value in values)
        return _Bigints(_headed("int8", len(values), packed))
    if byteorder == "little":
        numbers.byteswap()
    octets = numbers.tobytes()
    body = bytearray(_BIGINT_BYTES * len(values))
    body[3::_BIGINT_BYTES] = _BIGINT_LENGTH[3:] * len(values)
    for place in range(8):
        body[4 + place :: _BIGINT_BYTES] = octets[place::8]
    return _Bigints(_headed("int8", len(values), (body,)))


def _byteas(values: Sequence[bytes | None]) -> bytes:
    return _Byteas(_headed("bytea", len(values), _sized(values)))


def _texts(values: Sequence[str | None]) -> bytes:
    texts = [None if value is None else escaped(value).encode() for value in values]
    return _Texts(_headed("text", len(values), _sized(texts)))


def _sized(values: Sequence[bytes | None]) -> Iterable[bytes]:
    if None in values:
        return (_NULL if value is None else _LENGTH(len(value)) + value for value in values)
    given = cast(Sequence[bytes], values)
    return chain.from_iterable(zip(map(_LENGTH, map(len, given)), given, strict=True))


def _headed(element: str, length: int, parts: Iterable[Buffer]) -> bytes:
    if not length:
        return _HEADER(0, 0, types[element].oid)
    return b"".join((_HEADER(1, 1, types[element].oid), _DIMENSION(length, 1), *parts))


_COLUMNS: dict[str, Callable[[Sequence[Any]], bytes]] = {
    "bigint": _bigints,
    "bytea": _byteas,
    "text": _texts,
}
