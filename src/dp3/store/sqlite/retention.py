"""Removal of old history: what is due, and what is left of it."""

from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Any

import apsw
import msgspec

from dp3.clock import Clock
from dp3.history.packed import decode_segments
from dp3.sqlite import load_statements
from dp3.store.ports.leases import Lease
from dp3.store.ports.retention import (
    AgedPage,
    AgedPlace,
    FreshPoint,
    RetentionPass,
    RetentionSlice,
    RowPlace,
    Scope,
    Scoped,
    StoredRow,
)
from dp3.store.sqlite.connections import Readers
from dp3.store.sqlite.counters import CounterWriter
from dp3.store.sqlite.leases import Leases
from dp3.store.sqlite.links import LinkWriter
from dp3.store.sqlite.streams import StreamWriter

RECORDS = 1_000
"""Records of passes that are kept of each worker."""

LARGE = 1 << 10
"""Bytes of a value that are kept where it only matters which values are equal."""

_places = msgspec.json.Decoder(list[RowPlace]).decode
_last = msgspec.json.Decoder(AgedPlace).decode


class Retention:
    """See the methods of the same names in `RetentionStore`."""

    def __init__(self, readers: Readers, leases: Leases, counters: CounterWriter, clock: Clock) -> None:
        self._readers = readers
        self._leases = leases
        self._counters = counters
        self._clock = clock
        self._links = LinkWriter()
        self._streams = StreamWriter(clock)
        self._sql = load_statements("dp3.store.sqlite", "retention.sql")

    def aged(self, lease: Lease, attr: int, before: int, after: AgedPlace, limit: int) -> AgedPage:
        page = {
            "worker": lease.index,
            "worker_processes": lease.worker_processes,
            "attr": attr,
            "before": before,
            "limit": limit,
            **after._asdict(),
        }
        with self._readers.state() as state:
            found: Any = state.execute(self._sql["aged"], page).get
        places, last = found
        return AgedPage(_places(places), None if last is None else _last(last))

    def stored_rows(self, places: Sequence[RowPlace]) -> list[StoredRow]:
        with self._readers.state() as state:
            return self._stored(state, "stored_rows", places, bytes)

    def scoped(self, scopes: Sequence[Scope], *, whole: bool) -> Scoped:
        value = bytes if whole else _without_bulk
        attrs = dict.fromkeys((scope.entity, scope.attr) for scope in scopes)
        with self._readers.state() as state:
            packed = self._stored(state, "scoped_rows", scopes, value)
            rows = state.execute(self._sql["scoped_fresh"], (_listed(attrs),))
            fresh = [FreshPoint(entity, attr, t1, t2, c, value(v)) for entity, attr, t1, t2, c, v in rows]
        return Scoped(packed, fresh)

    def _stored(
        self, state: apsw.Connection, statement: str, wanted: Iterable[Any], value: Callable[[bytes], bytes]
    ) -> list[StoredRow]:
        """Row by row: large values are in memory one at a time."""
        return [
            StoredRow(RowPlace(entity, attr, tag, part), oldest, value(v), [*decode_segments(segments)])
            for entity, attr, tag, part, oldest, v, segments in state.execute(
                self._sql[statement], (_listed(wanted),)
            )
        ]

    def write(self, lease: Lease, slice_: RetentionSlice, stream: int) -> None:
        with self._leases.owned(lease) as connection:
            connection.execute(self._sql["remove_rows"], (_listed(slice_.removed),))
            kept = ((*row[:3], *row.place) for row in slice_.kept)
            connection.executemany(self._sql["keep_row"], kept)
            self._links.end(connection, slice_.links_ended, self._clock.now_us())
            if slice_.tasks:
                self._streams.add(connection, lease, stream, slice_.tasks)
            if slice_.points:
                self._counters.write(connection, {"history_removed": slice_.points})
            connection.execute(self._sql["put_pass"], slice_.record)
            connection.execute(self._sql["forget_passes"], (slice_.record.worker, RECORDS))

    def last_pass(self, worker: int) -> RetentionPass | None:
        with self._readers.state() as state:
            row = state.execute(self._sql["last_pass"], (worker,)).fetchone()
            return None if row is None else RetentionPass._make(row)

    def passes(self, limit: int) -> list[RetentionPass]:
        with self._readers.state() as state:
            return list(map(RetentionPass._make, state.execute(self._sql["passes"], (limit,))))


def _without_bulk(v: bytes) -> bytes:
    """The same for equal values, another one for others."""
    return v if len(v) <= LARGE else v[:LARGE] + blake2b(v, digest_size=32).digest()


def _listed(items: Iterable[Any]) -> str:
    return msgspec.json.encode(list(items)).decode()
