"""Ends of lifetimes: entities that are due, references to them, and the tombstones of deleted ones."""

from collections.abc import Iterable, Sequence
from typing import cast

import apsw
import msgspec

from dp3.sqlite import load_statements, run_for_rows
from dp3.store.ports.batches import Stream, Tombstone
from dp3.store.ports.entities import HistoryRow, PlainRow
from dp3.store.ports.history import PackedRow
from dp3.store.ports.leases import Lease
from dp3.store.ports.lifetimes import (
    Candidate,
    Collection,
    CollectionSlice,
    DueEntity,
    PendingTombstone,
    Referrer,
    SweepSlice,
)
from dp3.store.sqlite.batches import OutboxWriter
from dp3.store.sqlite.connections import Readers, Writer
from dp3.store.sqlite.parameters import listed, of_worker

RECORDS = 1_000
"""Records of collections that are kept of each worker."""

_due = msgspec.json.Decoder(list[DueEntity]).decode
_candidates = msgspec.json.Decoder(list[Candidate]).decode
_keys = msgspec.json.Decoder(set[int]).decode


class Lifetimes:
    """See `dp3.store.ports.lifetimes.Lifetimes`."""

    def __init__(self, writer: Writer, readers: Readers, outbox: OutboxWriter) -> None:
        self._writer = writer
        self._readers = readers
        self._outbox = outbox
        self._sql = load_statements("dp3.store.sqlite", "lifetimes.sql")

    # -- collections -----------------------------------------------------------------------------------
    def last_collection(self, worker: int) -> Collection | None:
        row = self._readers.value(self._sql["last_collection"], (worker,))
        return None if row is None else Collection._make(row)

    def collections(self, limit: int) -> list[Collection]:
        return list(map(Collection._make, self._readers.rows(self._sql["collections"], (limit,))))

    def due_tokens(self, partition: int, moment: int, limit: int) -> list[DueEntity]:
        return _due(self._readers.value(self._sql["due_tokens"], (partition, moment, limit)))

    def weak_entities(
        self, etypes: Sequence[int], after: int, end: int, moment: int, limit: int
    ) -> tuple[int, int, list[Candidate]]:
        with self._readers.state() as state:
            page = state.execute(self._sql["page_of_entities"], (after, end, limit)).fetchone()
            last, looked = cast("tuple[int, int]", page)
            wanted = {"etypes": listed(etypes), "after": after, "last": last, "moment": moment}
            text: str = state.execute(self._sql["weak_entities"], wanted).get
        return last, looked, _candidates(text)

    def write_collection(self, lease: Lease, slice_: CollectionSlice) -> None:
        with self._writer.owned(lease) as connection:
            run_for_rows(connection, self._sql["remove_tokens"], sorted(slice_.tokens_removed))
            run_for_rows(connection, self._sql["set_expiry_checks"], sorted(slice_.expiry_checks.items()))
            self._write_unreferenced(connection, slice_)
            if slice_.tasks:
                self._outbox.add(connection, lease, Stream.SYSTEM, slice_.tasks)
            connection.execute(self._sql["put_collection"], slice_.record)
            connection.execute(self._sql["forget_collections"], (slice_.record.worker, RECORDS))

    def _write_unreferenced(self, connection: apsw.Connection, slice_: CollectionSlice) -> None:
        if slice_.last > slice_.after:
            kept = listed(row[0] for row in slice_.unreferenced)
            connection.execute(self._sql["forget_unreferenced"], (slice_.after, slice_.last, kept))
            run_for_rows(connection, self._sql["note_unreferenced"], slice_.unreferenced)

    # -- what system tasks ask -------------------------------------------------------------------------------
    def expired(self, wanted: Sequence[tuple[int, int]]) -> set[int]:
        return self._selected("expired", wanted)

    def created_until(self, wanted: Sequence[tuple[int, int]]) -> set[int]:
        return self._selected("created_until", wanted)

    def _selected(self, statement: str, wanted: Sequence[tuple[int, int]]) -> set[int]:
        """The (entity, moment) pairs that a statement selects."""
        return _keys(self._readers.value(self._sql[statement], (listed(wanted),)))

    def plain_values(self, places: Sequence[tuple[int, int]]) -> list[PlainRow]:
        return list(map(PlainRow._make, self._readers.rows(self._sql["plain_values"], (listed(places),))))

    def history_page(self, starts: Sequence[tuple[int, int, int]], limit: int) -> list[HistoryRow]:
        rows = self._readers.rows(self._sql["history_page"], (listed(starts), limit))
        return list(map(HistoryRow._make, rows))

    def packed_page(self, starts: Sequence[tuple[int, int, int, int]], limit: int) -> list[PackedRow]:
        rows = self._readers.rows(self._sql["packed_page"], (listed(starts), limit))
        return [PackedRow(*row) for row in rows]

    def packing_begun(self, partitions: Iterable[int]) -> dict[int, list[int]]:
        begun: dict[int, list[int]] = {}
        for partition, key in self._readers.rows(self._sql["begun_in"], (listed(partitions),)):
            begun.setdefault(partition, []).append(key)
        return begun

    # -- tombstones ------------------------------------------------------------------------------------
    def oldest_bounds(self) -> tuple[int, int] | None:
        main, derived = self._readers.value(self._sql["oldest_bounds"])
        return None if main is None else (main, derived)

    def tombstones(self, lease: Lease, limit: int) -> list[PendingTombstone]:
        rows = self._readers.rows(self._sql["pending_tombstones"], of_worker(lease, limit=limit))
        return [PendingTombstone(row[0], row[1], Tombstone._make(row[2:9]), *row[9:]) for row in rows]

    def referrers(self, pending: Sequence[PendingTombstone], limit: int) -> list[tuple[int, Referrer]]:
        starts = listed(
            (one.id, one.tombstone.etype, one.tombstone.eid, one.attr, one.source, one.tombstone.at)
            for one in pending
        )
        rows = self._readers.rows(self._sql["referrers"], (starts, limit))
        return [(id_, Referrer._make(row)) for id_, *row in rows]

    def write_sweep(self, lease: Lease, slice_: SweepSlice) -> None:
        with self._writer.owned(lease) as connection:
            run_for_rows(connection, self._sql["move_tombstones"], slice_.moved)
            connection.execute(self._sql["all_told"], (listed(slice_.told),))
            connection.execute(self._sql["remove_tombstones"], (listed(slice_.removed),))
            if slice_.tasks:
                self._outbox.add(connection, lease, Stream.SYSTEM, slice_.tasks)

    def forget_tombstones(self, lease: Lease, derived: int, limit: int) -> int:
        with self._writer.owned(lease) as connection:
            connection.execute(self._sql["forget_tombstones"], of_worker(lease, derived=derived, limit=limit))
            return connection.changes()
