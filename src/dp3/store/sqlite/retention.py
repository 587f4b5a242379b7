"""Removal of old history: finding rows that are due, and writing the rest of them."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any

import apsw
import msgspec

from dp3.clock import Clock
from dp3.history.segments import segment_list
from dp3.sqlite import load_statements, run_for_rows
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
from dp3.store.sqlite.batches import OutboxWriter
from dp3.store.sqlite.connections import Readers, Writer
from dp3.store.sqlite.counters import CounterWriter
from dp3.store.sqlite.links import LinkWriter
from dp3.store.sqlite.parameters import listed, of_worker
from dp3.store.sqlite.scans import ScanWriter

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
        self, writer: Writer, readers: Readers, clock: Clock, counters: CounterWriter, outbox: OutboxWriter
    ) -> None:
        self._writer = writer
        self._readers = readers
        self._counters = counters
        self._clock = clock
        self._links = LinkWriter()
        self._scans = ScanWriter()
        self._outbox = outbox
        self._sql = load_statements("dp3.store.sqlite", "retention.sql")

    def aged(self, lease: Lease, attr: int, before: int, after: AgedPlace, limit: int) -> AgedPage:
        place = dict(zip(("oldest", "entity", "tag", "part"), after, strict=True))
        page = of_worker(lease, attr=attr, before=before, limit=limit, **place)
        with self._readers.state() as state:
            text, count, found = state.execute(self._sql["aged"], page).get
            if found is None:
                return AgedPage([], None)
            rows, last = _rows(text), _last(found)
            if count < limit:
                return AgedPage(rows, last, last[1], before, before)
            oldest, entity, tag, part = last
            place = {"attr": attr, "oldest": oldest, "entity": entity, "tag": tag, "part": part}
            rest: list[AgedRow] = [*map(_aged_row, state.execute(self._sql["aged_rest"], place))]
        if rest:
            last = (rest[-1][4], entity, rest[-1][2], rest[-1][3])
            own = lease.owns_entity(entity)
            rows += [row for row in rest if own and row[4] < before]
            rows.sort()
        step = oldest >> STEP_SHIFT
        return AgedPage(rows, last, entity, step + 1 << STEP_SHIFT, step << STEP_SHIFT)

    def stored_rows(self, rows: Sequence[AgedRow]) -> list[StoredRow]:
        with self._readers.state() as state:
            return self._stored(state, run_for_rows(state, self._sql["stored_rows"], rows))

    def begun_before(self, scopes: Sequence[tuple[Scope, int]]) -> list[StoredRow]:
        entities = [scope[0] for scope, _ in scopes]
        with self._readers.state() as state:
            if not state.execute(self._sql["any_begun"], (min(entities), max(entities))).get:
                return []
            wanted = [(*scope, moment) for scope, moment in scopes]
            return self._stored(state, run_for_rows(state, self._sql["begun_before"], wanted))

    def begun_between(self, scope: Scope, first: int, last: int, limit: int) -> list[StoredRow]:
        few = (last >> STEP_SHIFT) - (first >> STEP_SHIFT) < MOST_STEPS
        wanted = dict(zip(("entity", "attr", "first_tag", "last_tag"), scope, strict=True))
        wanted |= {"first": first, "last": last, "limit": limit}
        with self._readers.state() as state:
            statement = self._sql["begun_between" if few else "begun_between_any"]
            return self._stored(state, state.execute(statement, wanted))

    def unpacked(self, attrs: Iterable[tuple[int, int]]) -> list[HistoryRow]:
        with self._readers.state() as state:
            return self._unpacked(state, attrs)

    def scoped(self, scopes: Sequence[Scope], *, whole: bool) -> tuple[list[StoredRow], list[HistoryRow]]:
        wanted = {"scopes": listed(scopes), "large": WHOLE if whole else LARGE}
        with self._readers.state() as state:
            packed = self._stored(state, state.execute(self._sql["scoped_rows"], wanted))
            fresh = self._unpacked(state, [scope[:2] for scope in scopes], WHOLE if whole else LARGE)
        return packed, fresh

    def _unpacked(
        self, state: apsw.Connection, attrs: Iterable[tuple[int, int]], large: int = LARGE
    ) -> list[HistoryRow]:
        wanted = dict.fromkeys(attrs)
        entities = [entity for entity, _ in wanted]
        if not wanted or not state.execute(self._sql["any_unpacked"], (min(entities), max(entities))).get:
            return []
        rows = map(HistoryRow._make, state.execute(self._sql["unpacked"], (listed(wanted),)))
        return [row if len(row.v) <= large else row._replace(v=_shortened(row.v)) for row in rows]

    def _stored(self, state: apsw.Connection, found: Iterable[Any]) -> list[StoredRow]:
        """Large values are in memory one at a time."""
        return [
            StoredRow(
                (entity, attr, tag, part),
                oldest,
                self._short(state, (entity, attr, tag, part)) if v is None else v,
                segment_list(segments),
                first,
                points,
            )
            for entity, attr, tag, part, oldest, v, segments, first, points in found
        ]

    def _short(self, state: apsw.Connection, place: tuple[int, ...]) -> bytes:
        return _shortened(state.execute(self._sql["value"], place).get)

    def write(self, lease: Lease, slice_: RetentionSlice) -> None:
        with self._writer.owned(lease) as connection:
            run_for_rows(connection, self._sql["remove_rows"], slice_.removed)
            kept = ((*rest, *place) for *rest, place in slice_.kept)
            connection.executemany(self._sql["keep_row"], kept)
            self._scans.forget(connection, slice_.scans_until)
            self._links.end(connection, slice_.links_ended)
            if slice_.tasks:
                self._outbox.add(connection, lease, Stream.SYSTEM, slice_.tasks)
            if slice_.points:
                self._counters.write(connection, {"history_removed": slice_.points})
            connection.execute(self._sql["put_pass"], slice_.record)
            if slice_.record.done:
                connection.execute(self._sql["forget_passes"], (slice_.record.worker, RECORDS))

    def last_pass(self, worker: int) -> RetentionPass | None:
        row = self._readers.value(self._sql["last_pass"], (worker,))
        return None if row is None else RetentionPass._make(row)

    def passes(self, limit: int) -> list[RetentionPass]:
        return list(map(RetentionPass._make, self._readers.rows(self._sql["passes"], (limit,))))


def _aged_row(row: tuple[Any, ...]) -> AgedRow:
    entity, attr, tag, part, oldest = row
    return entity, attr, tag, part, oldest


def _shortened(v: bytes) -> bytes:
    """The same for equal values, another one for others."""
    return v[:LARGE] + blake2b(v, digest_size=32).digest()
