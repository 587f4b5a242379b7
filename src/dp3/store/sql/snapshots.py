"""Stored snapshots: read, written a slice of a run at a time, and removed when only old runs need them."""

import time
from collections.abc import Container, Iterable, Sequence
from operator import itemgetter

import msgspec

from dp3.store.ports.entities import ENTITY_SHIFT
from dp3.store.ports.leases import Lease
from dp3.store.ports.snapshots import Cleaned, SnapshotBatch, StoredSnapshot
from dp3.store.sql.batches import OutboxWriter
from dp3.store.sql.counters import CounterWriter
from dp3.store.sql.dead_letters import DeadLetterWriter
from dp3.store.sql.index import IndexWriter
from dp3.store.sql.parameters import of_worker, own_ranges
from dp3.store.sql.runs import Runs
from dp3.store.sql.session import Database, Session

FEW_DUE = 10_000
"""Up to so many due entities are found through the index and sorted for every page."""


_latest = msgspec.json.Decoder(list[tuple[int, str]]).decode
"""Many rows come as one text: in one step, without the interpreter's lock."""


TYPE_CHUNK = 10
"""Entities of a type without snapshots that are taken out of the index at once."""

REMOVAL_S = 0.015
"""One transaction takes out no more after this time."""


SLICE_S = 0.03
"""A slice begins no further chunk after this time, so it holds the write lock for less than 50 ms."""

CHUNK_ROWS = 200
"""Rows are scattered; one costs up to some 20 µs to remove."""

CHUNK_RUNS = 50
"""Runs have a row for every worker, with what it reported."""

KINDS = ("watermark", "missing", "rows")
"""Records of partitions, removed in this order: that a run completed them must not be known any more when
what is missing in it is forgotten."""


_superseded = msgspec.json.Decoder(list[tuple[int, int]]).decode
_entity = itemgetter(2)
_existing = msgspec.json.Decoder(list[tuple[int, int | bool]]).decode


class Snapshots:
    """See `dp3.store.ports.snapshots.Snapshots`."""

    def __init__(
        self,
        database: Database,
        runs: Runs,
        dead_letters: DeadLetterWriter,
        counters: CounterWriter,
        outbox: OutboxWriter,
        partitions: int,
    ) -> None:
        self._database = database
        self._runs = runs
        self._dead_letters = dead_letters
        self._counters = counters
        self._outbox = outbox
        self._partitions = partitions
        self._index = IndexWriter()

    def due(self, lease: Lease, until: int, after: int, limit: int) -> list[int]:
        with self._database.reading() as session:
            due = session.value("snapshots.due_bounded", (until, FEW_DUE + 1))
            if due <= FEW_DUE:
                page = of_worker(lease, until=until, after=after, limit=limit)
                return [entity for (entity,) in session.rows("snapshots.due_few", page)]
            entities: list[int] = []
            for first, end in own_ranges(lease, self._partitions, after):
                if len(entities) < limit:
                    page = {"until": until, "after": first, "end": end, "limit": limit - len(entities)}
                    entities += [entity for (entity,) in session.rows("snapshots.due_in_range", page)]
            return entities

    def latest(self, keys: Sequence[int]) -> dict[int, bytes]:
        text: str = self._database.value("snapshots.latest_documents", (list(keys),))
        return {entity: bytes.fromhex(doc) for entity, doc in _latest(text)}

    def of(self, etype: str, eid: str) -> list[StoredSnapshot]:
        return list(map(StoredSnapshot._make, self._database.rows("snapshots.rows_of", (etype, eid))))

    def write(self, lease: Lease, batch: SnapshotBatch) -> None:
        with self._database.owned(lease) as session:
            self._write_rows(session, batch)
            if batch.outbox:
                self._outbox.add_new(session, batch.outbox)
            if batch.dead_letters:
                self._dead_letters.add(session, batch.dead_letters)
            self._runs.write_progress(session, batch)
            self._counters.write(session, batch.counters, batch.hooks)

    def _write_rows(self, session: Session, batch: SnapshotBatch) -> None:
        touched = {row.entity for row in batch.rows}.union(batch.due, batch.missing)
        touched.update(map(_entity, batch.keys_added))
        alive = self._alive(session, touched)
        rows = sorted(row for row in batch.rows if row.entity in alive)
        first = {row.entity for row in rows if alive[row.entity]}
        session.bulk("snapshots.put_snapshots", rows)
        later = [(row.entity >> ENTITY_SHIFT, row.run, row.entity) for row in rows if row.entity not in first]
        session.bulk("snapshots.add_superseded", later)
        self._write_latest(session, {row.entity: row.run for row in rows}, batch.due, alive)
        self._index.remove(session, batch.keys_removed)
        self._index.remove_all(session, batch.keys_renewed)
        keys = batch.keys_added
        if len(alive) < len(touched):
            keys = [key for key in keys if key[-1] in alive]
        self._index.add(session, keys, first)
        self._write_missing(session, [entity for entity in batch.missing if entity in alive], batch.run)

    def _write_missing(self, session: Session, entities: Sequence[int], run: int) -> None:
        if entities:
            session.run("snapshots.note_last_seen", (list(entities),))
            missing = [(entity, run) for entity in entities]
            session.bulk("snapshots.add_missing", missing)

    def _alive(self, session: Session, entities: Iterable[int]) -> dict[int, int | bool]:
        """Entities that exist → whether they have no row yet."""
        text: str = session.value("snapshots.existing", (sorted(entities),))
        return dict(_existing(text))

    def _write_latest(
        self,
        session: Session,
        runs: dict[int, int],
        due: dict[int, int | None],
        alive: Container[int],
    ) -> None:
        """Most entities with a new row have a new `due` as well; they are written once."""
        both = [(entity, runs[entity], due[entity]) for entity in runs if entity in due]
        session.bulk("snapshots.put_latest_and_due", both)
        rows_only = [(entity, run) for entity, run in runs.items() if entity not in due]
        session.bulk("snapshots.put_latest", rows_only)
        due_only = sorted(entity for entity in due if entity in alive and entity not in runs)
        session.bulk("snapshots.put_due", [(entity, due[entity]) for entity in due_only])

    def remove_types(self, keep: Sequence[int]) -> None:
        removing = True
        while removing:
            self._database.wait_for_room()
            with self._database.writing() as session:
                end = time.monotonic() + REMOVAL_S
                while (removing := self._remove_some(session, keep)) and time.monotonic() < end:
                    pass

    def _remove_some(self, session: Session, keep: Sequence[int]) -> bool:
        for etype, path in session.rows("snapshots.indexed_types"):
            if etype not in keep:
                some = session.rows("snapshots.some_of_type", (path, TYPE_CHUNK))
                session.each("snapshots.end_series", some)
                session.each("snapshots.supersede_series", some)
                session.each("snapshots.forget_latest", some)
                session.each("snapshots.forget_keys", some)
                return True
        return False


class SnapshotCleaning:
    """See `dp3.store.ports.snapshots.SnapshotCleaning`.

    Runs go first, so nobody sees one of which rows are missing. That a row was superseded is noted when the
    next one is written; only what is to be removed is looked at.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def raise_horizon(self, lease: Lease, before: int, now: int) -> None:
        with self._database.owned(lease) as session:
            session.run("cleaning.raise_horizon", {"before": before, "now": now})

    def horizon(self) -> int | None:
        found: int | None = self._database.value("cleaning.horizon_time")
        return found

    def clean(self, lease: Lease, max_rows: int) -> Cleaned:
        cleaned = Cleaned(more=True)
        with self._database.owned(lease) as session:
            horizon: int | None = session.value("cleaning.horizon")
            if horizon is None:
                return Cleaned()
            end = time.monotonic() + SLICE_S
            chunk = _Chunk(session, lease, horizon)
            while cleaned.more and cleaned.rows < max_rows and time.monotonic() < end:
                cleaned = cleaned.and_then(chunk.remove(min(CHUNK_ROWS, max_rows - cleaned.rows)))
        return cleaned


class _Chunk:
    """Removes a few rows in the caller's transaction."""

    def __init__(self, session: Session, lease: Lease, horizon: int) -> None:
        self._session = session
        self._horizon = horizon
        self._mine = of_worker(lease, horizon=horizon)

    def remove(self, limit: int) -> Cleaned:
        """Remove what one statement takes of what is left, about `limit` rows."""
        if runs := self._remove_runs():
            return Cleaned(runs=runs, more=True)
        for kind in KINDS:
            partition: int | None = self._session.value(f"cleaning.old_{kind}", self._mine)
            if partition is not None:
                some = {"partition": partition, "horizon": self._horizon, "limit": limit}
                return Cleaned(rows=self._remove_some(kind, some), more=True)
        return Cleaned()

    def _remove_runs(self) -> int:
        some = {"horizon": self._horizon, "limit": CHUNK_RUNS}
        last: int | None = self._session.value("cleaning.last_old_run", some)
        if last is None:
            return 0
        self._session.run("cleaning.remove_worker_runs", (last,))
        return self._session.affected("cleaning.remove_runs", (last,))

    def _remove_some(self, kind: str, some: dict[str, int]) -> int:
        """Returns how many rows of snapshots were removed."""
        if kind != "rows":
            self._session.run(f"cleaning.remove_{kind}", some)
            return 0
        superseded = _superseded(self._session.value("cleaning.superseded", some))
        removed = self._session.affected("cleaning.remove_rows", (superseded,))
        self._session.run("cleaning.remove_superseded", (some["partition"], *superseded[-1]))
        return removed
