"""Removal of old history: finding rows that are due, and writing the rest of them."""

from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Any

import apsw
import msgspec

from dp3.clock import Clock
from dp3.history.segments import decode_segments
from dp3.sqlite import load_statements
from dp3.store.ports.batches import Stream
from dp3.store.ports.entities import HistoryRow
from dp3.store.ports.leases import Lease
from dp3.store.ports.retention import (
    AgedPlace,
    RetentionPass,
    RetentionSlice,
    RowPlace,
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

_places = msgspec.json.Decoder(list[RowPlace]).decode
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

    def aged(
        self, lease: Lease, attr: int, before: int, after: AgedPlace, limit: int
    ) -> tuple[list[RowPlace], AgedPlace | None]:
        place = dict(zip(("oldest", "entity", "tag", "part"), after, strict=True))
        page = of_worker(lease, attr=attr, before=before, limit=limit, **place)
        places, last = self._readers.value(self._sql["aged"], page)
        return _places(places), None if last is None else _last(last)

    def stored_rows(self, places: Sequence[RowPlace]) -> list[StoredRow]:
        with self._readers.state() as state:
            return self._stored(state, "stored_rows", places, bytes)

    def scoped(self, scopes: Sequence[Scope], *, whole: bool) -> tuple[list[StoredRow], list[HistoryRow]]:
        value = bytes if whole else _without_bulk
        attrs = dict.fromkeys((entity, attr) for entity, attr, _, _ in scopes)
        with self._readers.state() as state:
            packed = self._stored(state, "scoped_rows", scopes, value)
            rows = state.execute(self._sql["scoped_fresh"], (listed(attrs),))
            fresh = [row._replace(v=value(row.v)) for row in map(HistoryRow._make, rows)]
        return packed, fresh

    def _stored(
        self, state: apsw.Connection, statement: str, wanted: Iterable[Any], value: Callable[[bytes], bytes]
    ) -> list[StoredRow]:
        """Row by row: large values are in memory one at a time."""
        return [
            StoredRow((entity, attr, tag, part), oldest, value(v), [*decode_segments(segments)])
            for entity, attr, tag, part, oldest, v, segments in state.execute(
                self._sql[statement], (listed(wanted),)
            )
        ]

    def write(self, lease: Lease, slice_: RetentionSlice) -> None:
        with self._writer.owned(lease) as connection:
            connection.execute(self._sql["remove_rows"], (listed(slice_.removed),))
            kept = ((*rest, *place) for *rest, place in slice_.kept)
            connection.executemany(self._sql["keep_row"], kept)
            changed = (*slice_.removed, *(row[-1] for row in slice_.kept))
            self._scans.cut_all(connection, [place[:2] for place in changed])
            self._links.end(connection, slice_.links_ended)
            if slice_.tasks:
                self._outbox.add(connection, lease, Stream.SYSTEM, slice_.tasks)
            if slice_.points:
                self._counters.write(connection, {"history_removed": slice_.points})
            connection.execute(self._sql["put_pass"], slice_.record)
            connection.execute(self._sql["forget_passes"], (slice_.record.worker, RECORDS))

    def last_pass(self, worker: int) -> RetentionPass | None:
        row = self._readers.value(self._sql["last_pass"], (worker,))
        return None if row is None else RetentionPass._make(row)

    def passes(self, limit: int) -> list[RetentionPass]:
        return list(map(RetentionPass._make, self._readers.rows(self._sql["passes"], (limit,))))


def _without_bulk(v: bytes) -> bytes:
    """The same for equal values, another one for others."""
    return v if len(v) <= LARGE else v[:LARGE] + blake2b(v, digest_size=32).digest()
