"""Cursors: where a page ended, in a form that clients hand back."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from dp3.store.ports.queries import And, Between, DocMatches, Has, Not, OneOf, Or, Order, TextMatches, Where
from dp3.store.ports.snapshots import Key
from dp3.store.sqlite.keys import INT_MAX, INT_MIN

Place = tuple[Key | None, ...]
"""The keys of the order, the key of the eid, and the entity of the last row of a page."""


class _Cursor(msgspec.Struct, array_like=True):
    question: bytes
    place: list[Any]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Cursor).decode


def question_id(etype: str, where: Where, order: Sequence[Order]) -> bytes:
    """The same for the same question, in every process."""
    shape = repr((etype, _shape(where), [tuple(by) for by in order]))
    return blake2b(shape.encode("utf-8", "backslashreplace"), digest_size=8).digest()


def make_cursor(question: bytes, place: Place) -> str:
    """What `find` takes to go on after this place."""
    return urlsafe_b64encode(_encode(_Cursor(question, list(place)))).decode()


def read_cursor(question: bytes, cursor: str, length: int) -> Place:
    """The place in a cursor; raises ValueError if it is damaged or of another question."""
    try:
        read = _decode(urlsafe_b64decode(cursor.encode("ascii")))
        if not all(map(_is_key, read.place)):
            raise ValueError("what is no key can be no place")
    except ValueError:  # of every step
        raise ValueError(f"{cursor!r} is no cursor; use the one of the last row of a page") from None
    if read.question != question or len(read.place) != length:
        raise ValueError("the cursor is of another question; repeat type, filters and sort of its page")
    return tuple(read.place)


def _is_key(value: Any) -> bool:
    """Clients can make up cursors of their own."""
    if type(value) is int:
        return INT_MIN <= value <= INT_MAX
    return value is None or type(value) in (float, str, bytes)


def _shape(where: Where) -> tuple[object, ...]:
    """All that two processes agree on: functions are known by the path they are for only."""
    match where:
        case And(parts) | Or(parts):
            return (type(where).__name__, *map(_shape, parts))
        case Not(part):
            return ("Not", _shape(part))
        case Has(path):
            return ("Has", path)
        case OneOf(path, keys):
            return ("OneOf", path, keys)
        case Between():
            return ("Between", where.path, where.low, where.high, where.low_open, where.high_open)
        case TextMatches():
            return ("TextMatches", where.path, where.prefix)
        case DocMatches():
            return ("DocMatches",)
