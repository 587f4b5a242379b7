"""What is due, who is referred to, and whom the deletion of others concerns."""

from collections.abc import Sequence
from typing import cast

import apsw
import msgspec

from dp3.clock import Clock
from dp3.sqlite import load_statements
from dp3.store.ports.batches import Tombstone
from dp3.store.ports.entities import HistoryRow, PlainRow
from dp3.store.ports.leases import Lease
from dp3.store.ports.lifetimes import (
    Candidate,
    Collection,
    CollectionSlice,
    Due,
    PackedPlace,
    PackedValue,
    PendingTombstone,
    Referrer,
    SweepSlice,
    WeakPage,
)
from dp3.store.sqlite.connections import Readers
from dp3.store.sqlite.leases import Leases
from dp3.store.sqlite.own import of_worker
from dp3.store.sqlite.streams import StreamWriter

RECORDS = 1_000
"""Records of collections that are kept of each worker."""

_due = msgspec.json.Decoder(list[tuple[int, int, str, list[tuple[str, int]]]]).decode
_candidates = msgspec.json.Decoder(list[tuple[int, int, str, int, int, int]]).decode
_keys = msgspec.json.Decoder(set[int]).decode


class Lifetimes:
    """See the methods of the same names in `LifetimeStore`."""

    def __init__(self, readers: Readers, leases: Leases, clock: Clock) -> None:
        self._readers = readers
        self._leases = leases
        self._streams = StreamWriter(clock)
        self._sql = load_statements("dp3.store.sqlite", "lifetimes.sql")

    # -- collections -----------------------------------------------------------------------------------
    def last_collection(self, worker: int) -> Collection | None:
        with self._readers.state() as state:
            row = state.execute(self._sql["last_collection"], (worker,)).fetchone()
            return None if row is None else Collection._make(row)

    def collections(self, limit: int) -> list[Collection]:
        with self._readers.state() as state:
            return list(map(Collection._make, state.execute(self._sql["collections"], (limit,))))

    def due_tokens(self, partition: int, moment: int, limit: int) -> list[Due]:
        with self._readers.state() as state:
            text: str = state.execute(self._sql["due_tokens"], (partition, moment, limit)).get
        return list(map(Due._make, _due(text)))

    def weak_entities(self, etypes: Sequence[int], after: int, end: int, moment: int, limit: int) -> WeakPage:
        with self._readers.state() as state:
            page = state.execute(self._sql["page_of_entities"], (after, end, limit)).fetchone()
            last, looked = cast("tuple[int, int]", page)
            wanted = {"etypes": _json(etypes), "after": after, "last": last, "moment": moment}
            text: str = state.execute(self._sql["weak_entities"], wanted).get
        return WeakPage(last, looked, list(map(Candidate._make, _candidates(text))))

    def write_collection(self, lease: Lease, slice_: CollectionSlice, stream: int) -> None:
        with self._leases.owned(lease) as connection:
            connection.executemany(self._sql["remove_token"], slice_.tokens_removed)
            connection.executemany(self._sql["set_look"], sorted(slice_.looks.items()))
            self._write_unreferenced(connection, slice_)
            self._write_tasks(connection, lease, slice_.tasks, stream)
            connection.execute(self._sql["put_collection"], slice_.record)
            connection.execute(self._sql["forget_collections"], (slice_.record.worker, RECORDS))

    def _write_unreferenced(self, connection: apsw.Connection, slice_: CollectionSlice) -> None:
        if slice_.last > slice_.after:
            kept = _json([row[0] for row in slice_.unreferenced])
            connection.execute(self._sql["forget_unreferenced"], (slice_.after, slice_.last, kept))
            connection.executemany(self._sql["note_unreferenced"], slice_.unreferenced)

    def _write_tasks(self, connection: apsw.Connection, lease: Lease, tasks: bytes, stream: int) -> None:
        if tasks:
            self._streams.add(connection, lease, stream, tasks)

    # -- what system tasks ask -------------------------------------------------------------------------------
    def expired(self, wanted: Sequence[tuple[int, int]]) -> set[int]:
        return self._selected("expired", wanted)

    def created_until(self, wanted: Sequence[tuple[int, int]]) -> set[int]:
        return self._selected("created_until", wanted)

    def _selected(self, statement: str, wanted: Sequence[tuple[int, int]]) -> set[int]:
        """Those of the (entity, moment) that a statement selects."""
        with self._readers.state() as state:
            text: str = state.execute(self._sql[statement], (_json(wanted),)).get
        return _keys(text)

    def plain_value(self, entity: int, attr: int) -> PlainRow | None:
        with self._readers.state() as state:
            row = state.execute(self._sql["plain_value"], (entity, attr)).fetchone()
            return None if row is None else PlainRow._make(row)

    def history_page(self, entity: int, attr: int, after: int, limit: int) -> list[HistoryRow]:
        with self._readers.state() as state:
            rows = state.execute(self._sql["history_page"], (entity, attr, after, limit))
            return list(map(HistoryRow._make, rows))

    def packed_page(self, entity: int, attr: int, after: PackedPlace, limit: int) -> list[PackedValue]:
        with self._readers.state() as state:
            rows = state.execute(self._sql["packed_page"], (entity, attr, *after, limit))
            return [PackedValue((tag, part), v, segments) for tag, part, v, segments in rows]

    def packing_begun(self, entity: int) -> list[int]:
        with self._readers.state() as state:
            return [begun for (begun,) in state.execute(self._sql["begun_of"], (entity,))]

    # -- tombstones ------------------------------------------------------------------------------------
    def oldest_bounds(self) -> tuple[int, int] | None:
        with self._readers.state() as state:
            main, derived = state.execute(self._sql["oldest_bounds"]).get
            return None if main is None else (main, derived)

    def tombstones(self, lease: Lease, limit: int) -> list[PendingTombstone]:
        with self._readers.state() as state:
            rows = state.execute(self._sql["graves"], of_worker(lease, limit=limit))
            return [PendingTombstone(row[0], row[1], Tombstone._make(row[2:8]), *row[8:]) for row in rows]

    def referrers(self, grave: PendingTombstone, limit: int) -> list[Referrer]:
        stone = grave.tombstone
        place = (stone.etype, stone.eid, grave.attr, grave.source, stone.at, limit)
        with self._readers.state() as state:
            return list(map(Referrer._make, state.execute(self._sql["referrers"], place)))

    def write_sweep(self, lease: Lease, slice_: SweepSlice, stream: int) -> None:
        with self._leases.owned(lease) as connection:
            connection.executemany(self._sql["move_grave"], slice_.moved)
            connection.executemany(self._sql["all_told"], ((id_,) for id_ in slice_.told))
            connection.executemany(self._sql["remove_tombstone"], ((id_,) for id_ in slice_.removed))
            self._write_tasks(connection, lease, slice_.tasks, stream)

    def forget_tombstones(self, lease: Lease, derived: int, limit: int) -> int:
        with self._leases.owned(lease) as connection:
            connection.execute(self._sql["forget_tombstones"], of_worker(lease, derived=derived, limit=limit))
            return connection.changes()


def _json(values: Sequence[object]) -> str:
    return msgspec.json.encode(values).decode()
