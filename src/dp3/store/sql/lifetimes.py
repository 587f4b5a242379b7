"""Ends of lifetimes: entities that are due, references to them, and the tombstones of deleted ones."""

from collections.abc import Iterable, Sequence
from typing import cast

import msgspec

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
from dp3.store.sql.batches import OutboxWriter
from dp3.store.sql.parameters import of_worker
from dp3.store.sql.session import Database, Session

RECORDS = 1_000
"""Records of collections that are kept of each worker."""

_due = msgspec.json.Decoder(list[DueEntity]).decode
_candidates = msgspec.json.Decoder(list[Candidate]).decode
_keys = msgspec.json.Decoder(set[int]).decode


class Lifetimes:
    """See `dp3.store.ports.lifetimes.Lifetimes`."""

    def __init__(self, database: Database, outbox: OutboxWriter) -> None:
        self._database = database
        self._outbox = outbox

    # -- collections -----------------------------------------------------------------------------------
    def last_collection(self, worker: int) -> Collection | None:
        row = self._database.value("lifetimes.last_collection", (worker,))
        return None if row is None else Collection._make(row)

    def collections(self, limit: int) -> list[Collection]:
        return list(map(Collection._make, self._database.rows("lifetimes.collections", (limit,))))

    def due_tokens(self, partition: int, moment: int, limit: int) -> list[DueEntity]:
        return _due(self._database.value("lifetimes.due_tokens", (partition, moment, limit)))

    def weak_entities(
        self, etypes: Sequence[int], after: int, end: int, moment: int, limit: int
    ) -> tuple[int, int, list[Candidate]]:
        with self._database.reading() as session:
            page = session.row("lifetimes.page_of_entities", (after, end, limit))
            last, looked = cast("tuple[int, int]", page)
            wanted = {"etypes": list(etypes), "after": after, "last": last, "moment": moment}
            text: str = session.value("lifetimes.weak_entities", wanted)
        return last, looked, _candidates(text)

    def write_collection(self, lease: Lease, slice_: CollectionSlice) -> None:
        with self._database.owned(lease) as session:
            session.bulk("lifetimes.remove_tokens", sorted(slice_.tokens_removed))
            session.bulk("lifetimes.set_expiry_checks", sorted(slice_.expiry_checks.items()))
            self._write_unreferenced(session, slice_)
            if slice_.tasks:
                self._outbox.add(session, lease, Stream.SYSTEM, slice_.tasks)
            session.run("lifetimes.put_collection", slice_.record)
            session.run("lifetimes.forget_collections", (slice_.record.worker, RECORDS))

    def _write_unreferenced(self, session: Session, slice_: CollectionSlice) -> None:
        if slice_.last > slice_.after:
            kept = [row[0] for row in slice_.unreferenced]
            session.run("lifetimes.forget_unreferenced", (slice_.after, slice_.last, kept))
            session.bulk("lifetimes.note_unreferenced", slice_.unreferenced)

    # -- what system tasks ask -------------------------------------------------------------------------------
    def expired(self, wanted: Sequence[tuple[int, int]]) -> set[int]:
        return self._selected("expired", wanted)

    def created_until(self, wanted: Sequence[tuple[int, int]]) -> set[int]:
        return self._selected("created_until", wanted)

    def _selected(self, statement: str, wanted: Sequence[tuple[int, int]]) -> set[int]:
        """The (entity, moment) pairs that a statement selects."""
        return _keys(self._database.value(f"lifetimes.{statement}", (list(wanted),)))

    def plain_values(self, places: Sequence[tuple[int, int]]) -> list[PlainRow]:
        return list(map(PlainRow._make, self._database.rows("lifetimes.plain_values", (list(places),))))

    def history_page(self, starts: Sequence[tuple[int, int, int]], limit: int) -> list[HistoryRow]:
        rows = self._database.rows("lifetimes.history_page", (list(starts), limit))
        return list(map(HistoryRow._make, rows))

    def packed_page(self, starts: Sequence[tuple[int, int, int, int]], limit: int) -> list[PackedRow]:
        rows = self._database.rows("lifetimes.packed_page", (list(starts), limit))
        return [PackedRow(*row) for row in rows]

    def packing_begun(self, partitions: Iterable[int]) -> dict[int, list[int]]:
        begun: dict[int, list[int]] = {}
        for partition, key in self._database.rows("lifetimes.begun_in", (list(partitions),)):
            begun.setdefault(partition, []).append(key)
        return begun

    # -- tombstones ------------------------------------------------------------------------------------
    def oldest_bounds(self) -> tuple[int, int] | None:
        main, derived = self._database.value("lifetimes.oldest_bounds")
        return None if main is None else (main, derived)

    def tombstones(self, lease: Lease, limit: int) -> list[PendingTombstone]:
        rows = self._database.rows("lifetimes.pending_tombstones", of_worker(lease, limit=limit))
        return [PendingTombstone(row[0], row[1], Tombstone._make(row[2:9]), *row[9:]) for row in rows]

    def referrers(self, pending: Sequence[PendingTombstone], limit: int) -> list[tuple[int, Referrer]]:
        starts = [
            (one.id, one.tombstone.etype, one.tombstone.eid, one.attr, one.source, one.tombstone.at)
            for one in pending
        ]
        rows = self._database.rows("lifetimes.referrers", (starts, limit))
        return [(id_, Referrer._make(row)) for id_, *row in rows]

    def write_sweep(self, lease: Lease, slice_: SweepSlice) -> None:
        with self._database.owned(lease) as session:
            session.bulk("lifetimes.move_tombstones", slice_.moved)
            session.run("lifetimes.all_told", (list(slice_.told),))
            session.run("lifetimes.remove_tombstones", (list(slice_.removed),))
            if slice_.tasks:
                self._outbox.add(session, lease, Stream.SYSTEM, slice_.tasks)

    def forget_tombstones(self, lease: Lease, derived: int, limit: int) -> int:
        with self._database.owned(lease) as session:
            bounds = of_worker(lease, derived=derived, limit=limit)
            return session.affected("lifetimes.forget_tombstones", bounds)
