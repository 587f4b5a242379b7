"""Answering questions about the newest snapshots of a type."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dp3.sqlite import load_statements
from dp3.store.ports.queries import EVERYTHING, Found, Order, Where
from dp3.store.ports.snapshots import Key
from dp3.store.sqlite.access_paths import AccessPaths
from dp3.store.sqlite.conditions import Compiler, Condition
from dp3.store.sqlite.connections import Readers
from dp3.store.sqlite.cursors import Place, make_cursor, question_id, read_cursor
from dp3.store.sqlite.paths import EID, Paths
from dp3.store.sqlite.sql_builder import TRUE, SqlBuilder, asking

NO_LIMIT = -1


class Queries:
    """See the methods of the same names in `SnapshotQueries`."""

    def __init__(self, readers: Readers, limit_s: float) -> None:
        self._readers = readers
        self._limit_s = limit_s
        self._sql = load_statements("dp3.store.sqlite", "queries.sql")
        self._shown = {name: self._sql[name] for name in ("run_time", "document")}

    @contextmanager
    def _asking(self, etype: str) -> Iterator[tuple[SqlBuilder, Paths]]:
        with self._readers.state() as state, asking(state, etype, self._limit_s) as question:
            yield question, Paths(question, self._sql)

    def find(
        self,
        etype: str,
        where: Where = EVERYTHING,
        order: Sequence[Order] = (),
        skip: int = 0,
        limit: int | None = 20,
        after: str | None = None,
    ) -> list[Found]:
        id_ = question_id(etype, where, order)
        place = None if after is None else read_cursor(id_, after, len(order) + 2)
        wanted = None if limit is None else skip + limit
        with self._asking(etype) as (question, paths):
            condition = Compiler(question, self._sql, paths).compile(where)
            ways = AccessPaths(question, self._sql, paths, condition, order, place)
            places = _places(question, ways, wanted)[skip:]
            return list(self._answers(question, id_, places))

    def _answers(self, question: SqlBuilder, id_: bytes, places: Sequence[Place]) -> Iterator[Found]:
        """The rows of a page; a place ends with the entity."""
        found = self._sql["found"].format(**self._shown)
        rows = question.connection.executemany(found, ((place[-1],) for place in places))
        for place, row in zip(places, rows, strict=True):
            yield Found._make((*row, make_cursor(id_, place)))
            if question.is_over():
                raise question.too_slow()

    def count(self, etype: str, where: Where = EVERYTHING) -> int:
        with self._asking(etype) as (question, paths):
            condition = Compiler(question, self._sql, paths).compile(where)
            known = paths.sizes(EID).entities if condition.holds == TRUE else condition.counted
            if known is not None and paths.not_deleted == TRUE:
                return known
            counted: int = question.rows(self._count(question, paths, condition)).get
            return counted

    def _count(self, question: SqlBuilder, paths: Paths, condition: Condition) -> str:
        if condition.candidates is None:
            eids = question.parameter(paths.id(EID))
            holds = f"{condition.holds} AND {paths.not_deleted}"
            return self._sql["count_walk"].format(path=eids, holds=holds)
        holds = f"{condition.rest} AND {paths.not_deleted}"
        return self._sql["count_among"].format(candidates=condition.entities(), holds=holds)

    def distinct(self, etype: str, path: str) -> dict[Key, int]:
        with self._asking(etype) as (question, paths):
            place = question.parameter(paths.id(path))
            counts = question.rows(self._sql["distinct"].format(path=place, holds=paths.not_deleted))
            return dict(counts)

    def latest(self, etype: str, eids: Sequence[str]) -> dict[str, Found]:
        wanted = ((etype, eid) for eid in dict.fromkeys(eids))
        id_ = question_id(etype, EVERYTHING, ())
        with self._asking(etype) as (question, paths):
            of_eid = self._sql["smallest"].format(path=paths.id(EID))
            newest = self._sql["newest"].format(**self._shown, eid_key=of_eid)
            entities = question.connection.executemany(self._sql["entity_key"], wanted).fetchall()
            return {
                eid: Found(eid, run_time, doc, make_cursor(id_, (eid_key, entity)))
                for eid, run_time, doc, eid_key, entity in question.connection.executemany(newest, entities)
                if doc is not None
            }


def _places(question: SqlBuilder, ways: AccessPaths, wanted: int | None) -> list[Place]:
    """Where the first `wanted` rows are, in order."""
    places: list[Place] = []
    for select in ways.selects(wanted):
        limit = NO_LIMIT if wanted is None else wanted - len(places)
        if limit == 0:
            break
        rows = question.rows(select.format(limit=limit))
        places.extend((*row[1:], row[0]) for row in rows)
    return places
