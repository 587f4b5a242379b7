"""Answers to queries about the newest snapshots of a type, page by page."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any, TypeAlias

import msgspec

from dp3.store.ports.queries import EVERYTHING, And, Found, Not, Or, Order, Where
from dp3.store.ports.snapshots import Key
from dp3.store.sql.access_paths import AccessPaths, Place
from dp3.store.sql.conditions import Compiler, Condition
from dp3.store.sql.index import INT_MAX, INT_MIN
from dp3.store.sql.query_builder import EID, TRUE, QueryBuilder
from dp3.store.sql.session import Database, Session

MOST_PATHS = 10_000
"""Paths among which names are looked for: some 10 ms."""


class _Cursor(msgspec.Struct, array_like=True):
    """The end of a page, in a form that clients hand back; `query` stands for what was asked."""

    query: bytes
    place: list[Any]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Cursor).decode


MakeBuilder: TypeAlias = Callable[[Session, Mapping[str, str], str, float], QueryBuilder]
"""(session, statements, entity type, limit in seconds) → the builder of a query."""


class Queries:
    """See `dp3.store.ports.queries.Queries`."""

    def __init__(
        self, database: Database, sql: Mapping[str, str], builder: MakeBuilder, limit_s: float
    ) -> None:
        """`sql` has the statements of `queries.sql`, `builder` makes the builder of a query."""
        self._database = database
        self._make = builder
        self._limit_s = limit_s
        self._sql = sql
        answer = {name: self._sql[name] for name in ("run_time", "document")}
        self._found = self._sql["found"].format(**answer)
        self._newest = self._sql["newest"].format(**answer, eid_key="{eid_key}")

    @contextmanager
    def _query(self, etype: str) -> Iterator[QueryBuilder]:
        with self._database.reading() as session:
            builder = self._make(session, self._sql, etype, self._limit_s)
            with builder.limited():
                yield builder

    def find(
        self,
        etype: str,
        where: Where = EVERYTHING,
        order: Sequence[Order] = (),
        skip: int = 0,
        limit: int | None = 20,
        after: str | None = None,
    ) -> list[Found]:
        id_ = _query_id(etype, where, order)
        place = None if after is None else _read_cursor(id_, after, len(order) + 2)
        wanted = None if limit is None else skip + limit
        with self._query(etype) as builder:
            condition = Compiler(builder).compile(where)
            paths = AccessPaths(builder, condition, order, place)
            places = _places(builder, paths, wanted)[skip:]
            return list(self._answers(builder, id_, places))

    def _answers(self, builder: QueryBuilder, id_: bytes, places: Sequence[Place]) -> Iterator[Found]:
        """The rows of a page; a place ends with the entity."""
        rows = builder.ask(self._found, ([place[-1] for place in places],))
        for place, row in zip(places, rows, strict=True):
            yield Found._make((*row, _make_cursor(id_, place)))
            if builder.is_over():
                raise builder.too_slow()

    def count(self, etype: str, where: Where = EVERYTHING) -> int:
        with self._query(etype) as builder:
            condition = Compiler(builder).compile(where)
            known = builder.sizes(EID)[1] if condition.holds == TRUE else condition.counted
            if known is not None and builder.not_deleted == TRUE:
                return known
            ((counted,),) = builder.rows(self._count(builder, condition))
            return int(counted)

    def _count(self, builder: QueryBuilder, condition: Condition) -> str:
        if condition.candidates is None:
            holds = f"{condition.holds} AND {builder.not_deleted}"
            return self._sql["count_scan"].format(path=builder.path(EID), holds=holds)
        holds = f"{condition.rest} AND {builder.not_deleted}"
        return self._sql["count_among"].format(candidates=condition.entities(), holds=holds)

    def any_keys(self, etype: str, paths: Sequence[str]) -> bool:
        return bool(self._database.value("queries.any_keys", (etype, list(paths))))

    def ever_had_keys(self, etype: str, paths: Sequence[str]) -> bool:
        return bool(self._database.value("queries.ever_had_keys", (etype, list(paths))))

    def first_steps(self, etype: str) -> list[str]:
        return [name for (name,) in self._database.rows("queries.first_steps", (etype, MOST_PATHS))]

    def distinct(self, etype: str, path: str) -> dict[Key, int]:
        with self._query(etype) as builder:
            distinct = self._sql["distinct"].format(path=builder.path(path), holds=builder.not_deleted)
            return {builder.key_of(key): count for key, count in builder.rows(distinct)}

    def latest(self, etype: str, eids: Sequence[str]) -> dict[str, Found]:
        wanted = list(dict.fromkeys(eids))
        id_ = _query_id(etype, EVERYTHING, ())
        with self._query(etype) as builder:
            of_eid = self._sql["smallest"].format(path=builder.number(EID))
            newest = self._newest.format(eid_key=of_eid)
            return {
                eid: Found(eid, run_time, doc, _make_cursor(id_, (eid_key, entity)))
                for eid, run_time, doc, eid_key, entity in builder.ask(newest, (etype, wanted))
                if doc is not None
            }


def _places(builder: QueryBuilder, paths: AccessPaths, wanted: int | None) -> list[Place]:
    """The places of the first `wanted` rows, in order."""
    places: list[Place] = []
    for select in paths.selects(wanted):
        limit = builder.no_limit if wanted is None else wanted - len(places)
        if limit == 0:
            break
        rows = builder.rows(select.format(limit=limit))
        places.extend((*row[1:], row[0]) for row in rows)
    return places


# -- cursors -------------------------------------------------------------------------------------------
def _query_id(etype: str, where: Where, order: Sequence[Order]) -> bytes:
    """The same for the same query, in every process."""
    shape = repr((etype, _shape(where), [tuple(by) for by in order]))
    return blake2b(shape.encode("utf-8", "backslashreplace"), digest_size=8).digest()


def _shape(where: Where) -> tuple[object, ...]:
    match where:
        case And(parts) | Or(parts):
            return (type(where).__name__, *map(_shape, parts))
        case Not(part):
            return ("Not", _shape(part))
        case _:
            return (type(where).__name__, *(getattr(where, name) for name in where.__match_args__))


def _make_cursor(id_: bytes, place: Place) -> str:
    """The form in which `find` takes a place to go on after."""
    return urlsafe_b64encode(_encode(_Cursor(id_, list(place)))).decode()


def _read_cursor(id_: bytes, cursor: str, length: int) -> Place:
    """The place in a cursor; raises ValueError if it is damaged or of another query."""
    try:
        read = _decode(urlsafe_b64decode(cursor.encode("ascii")))
        if not all(map(_is_key, read.place)):
            raise ValueError("what is no key can be no place")
    except ValueError:  # of every step
        raise ValueError(f"{cursor!r} is no cursor; use the one of the last row of a page") from None
    if read.query != id_ or len(read.place) != length:
        raise ValueError("the cursor is of another question; repeat type, filters and sort of its page")
    return tuple(read.place)


def _is_key(value: Any) -> bool:
    """Clients can make up cursors of their own."""
    if type(value) is int:
        return INT_MIN <= value <= INT_MAX
    return value is None or type(value) in (float, str, bytes)
