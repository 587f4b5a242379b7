"""Removal of old history: finding rows that are due, and writing the rest of them."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from dp3.clock import Clock
from dp3.history.segments import segment_list
from dp3.store.ports.batches import Stream
from dp3.store.ports.entities import HistoryRow
from dp3.store.ports.leases import Lease
from dp3.store.ports.retention import (
    AgedPage,
    AgedPlace,
    AgedRow,
    RetentionPass,
    RetentionSlice,
    Scope,
    StoredRow,
)
from dp3.store.sql.batches import OutboxWriter
from dp3.store.sql.counters import CounterWriter
from dp3.store.sql.links import LinkWriter
from dp3.store.sql.parameters import of_worker
from dp3.store.sql.scans import ScanWriter
from dp3.store.sql.session import Database, Session

RECORDS = 1_000
"""Records of passes that are kept of each worker."""

LARGE = 1 << 10
"""Bytes of a value that are kept where it only matters which values are equal."""

WHOLE = 1 << 62

STEP_SHIFT = 32
MOST_STEPS = 64
"""Rows that began within so many steps of age (three days) are looked for step by step."""

_rows = msgspec.json.Decoder(list[AgedRow]).decode
_last = msgspec.json.Decoder(AgedPlace).decode


class Retention:
    """See `dp3.store.ports.retention.Retention`."""

    def __init__(
        self, database: Database, clock: Clock, counters: CounterWriter, outbox: OutboxWriter
    ) -> None:
        self._database = database
        self._counters = counters
        self._clock = clock
        self._links = LinkWriter()
        self._scans = ScanWriter()
        self._outbox = outbox

    def aged(self, lease: Lease, attr: int, before: int, after: AgedPlace, limit: int) -> AgedPage:
        place = dict(zip(("oldest", "entity", "tag", "part"), after, strict=True))
        page = of_worker(lease, attr=attr, before=before, limit=limit, **place)
        with self._database.reading() as session:
            text, count, found = session.value("retention.aged", page)
            if found is None:
                return AgedPage([], None)
            rows, last = _rows(text), _last(found)
            if count < limit:
                return AgedPage(rows, last, last[1], before, before)
            oldest, entity, tag, part = last
            place = {"attr": attr, "oldest": oldest, "entity": entity, "tag": tag, "part": part}
            rest: list[AgedRow] = [*map(_aged_row, session.rows("retention.aged_rest", place))]
        if rest:
            last = (rest[-1][4], entity, rest[-1][2], rest[-1][3])
            own = lease.owns_entity(entity)
            rows += [row for row in rest if own and row[4] < before]
            rows.sort()
        step = oldest >> STEP_SHIFT
        return AgedPage(rows, last, entity, step + 1 << STEP_SHIFT, step << STEP_SHIFT)

    def stored_rows(self, rows: Sequence[AgedRow]) -> list[StoredRow]:
        with self._database.reading() as session:
            stored = self._stored(session, session.bulk_rows("retention.stored_rows", rows))
        by_place = {row.place: row for row in stored}
        return [by_place[row[:4]] for row in rows if row[:4] in by_place]

    def begun_before(self, scopes: Sequence[tuple[Scope, int]]) -> list[StoredRow]:
        entities = [scope[0] for scope, _ in scopes]
        with self._database.reading() as session:
            if not session.value("retention.any_begun", (min(entities), max(entities))):
                return []
            wanted = [(*scope, moment) for scope, moment in scopes]
            return self._stored(session, session.bulk_rows("retention.begun_before", wanted))

    def begun_between(self, scope: Scope, first: int, last: int, limit: int) -> list[StoredRow]:
        few = (last >> STEP_SHIFT) - (first >> STEP_SHIFT) < MOST_STEPS
        wanted = dict(zip(("entity", "attr", "first_tag", "last_tag"), scope, strict=True))
        wanted |= {"first": first, "last": last, "limit": limit}
        with self._database.reading() as session:
            statement = "begun_between" if few else "begun_between_any"
            return self._stored(session, session.rows(f"retention.{statement}", wanted))

    def unpacked(self, attrs: Iterable[tuple[int, int]]) -> list[HistoryRow]:
        with self._database.reading() as session:
            return self._unpacked(session, attrs)

    def scoped(self, scopes: Sequence[Scope], *, whole: bool) -> tuple[list[StoredRow], list[HistoryRow]]:
        wanted = {"scopes": list(scopes), "large": WHOLE if whole else LARGE}
        with self._database.reading() as session:
            packed = self._stored(session, session.rows("retention.scoped_rows", wanted))
            fresh = self._unpacked(session, [scope[:2] for scope in scopes], WHOLE if whole else LARGE)
        return packed, fresh

    def _unpacked(
        self, session: Session, attrs: Iterable[tuple[int, int]], large: int = LARGE
    ) -> list[HistoryRow]:
        wanted = dict.fromkeys(attrs)
        entities = [entity for entity, _ in wanted]
        if not wanted or not session.value("retention.any_unpacked", (min(entities), max(entities))):
            return []
        rows = map(HistoryRow._make, session.rows("retention.unpacked", (list(wanted),)))
        return [row if len(row.v) <= large else row._replace(v=_shortened(row.v)) for row in rows]

    def _stored(self, session: Session, found: Iterable[Any]) -> list[StoredRow]:
        """Large values are in memory one at a time."""
        return [
            StoredRow(
                (entity, attr, tag, part),
                oldest,
                self._short(session, (entity, attr, tag, part)) if v is None else v,
                segment_list(segments),
                first,
                points,
            )
            for entity, attr, tag, part, oldest, v, segments, first, points in found
        ]

    def _short(self, session: Session, place: tuple[int, ...]) -> bytes:
        return _shortened(session.value("retention.value", place))

    def write(self, lease: Lease, slice_: RetentionSlice) -> None:
        with self._database.owned(lease) as session:
            session.bulk("retention.remove_rows", slice_.removed)
            kept = ((*rest, *place) for *rest, place in slice_.kept)
            session.each("retention.keep_row", kept)
            self._scans.forget(session, slice_.scans_until)
            self._links.end(session, slice_.links_ended)
            if slice_.tasks:
                self._outbox.add(session, lease, Stream.SYSTEM, slice_.tasks)
            if slice_.points:
                self._counters.write(session, {"history_removed": slice_.points})
            session.run("retention.put_pass", slice_.record)
            if slice_.record.done:
                session.run("retention.forget_passes", (slice_.record.worker, RECORDS))

    def last_pass(self, worker: int) -> RetentionPass | None:
        row = self._database.value("retention.last_pass", (worker,))
        return None if row is None else RetentionPass._make(row)

    def passes(self, limit: int) -> list[RetentionPass]:
        return list(map(RetentionPass._make, self._database.rows("retention.passes", (limit,))))


def _aged_row(row: tuple[Any, ...]) -> AgedRow:
    entity, attr, tag, part, oldest = row
    return entity, attr, tag, part, oldest


def _shortened(v: bytes) -> bytes:
    """The same for equal values, another one for others."""
    return v[:LARGE] + blake2b(v, digest_size=32).digest()
