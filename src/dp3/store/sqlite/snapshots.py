"""Stored snapshots: read, written a slice of a run at a time, and removed when only old runs need them."""

import time
from collections.abc import Container, Iterable, Sequence
from operator import itemgetter

import apsw
import msgspec

from dp3.sqlite import Statements, load_statements, run_for_rows
from dp3.store.ports.entities import ENTITY_SHIFT
from dp3.store.ports.leases import Lease
from dp3.store.ports.snapshots import Cleaned, SnapshotBatch, StoredSnapshot
from dp3.store.sqlite.batches import OutboxWriter
from dp3.store.sqlite.connections import Readers, Writer
from dp3.store.sqlite.counters import CounterWriter
from dp3.store.sqlite.dead_letters import DeadLetterWriter
from dp3.store.sqlite.index import IndexWriter
from dp3.store.sqlite.parameters import listed, of_worker, own_ranges
from dp3.store.sqlite.runs import Runs

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
_existing = msgspec.json.Decoder(list[tuple[int, int]]).decode


class Snapshots:
    """See `dp3.store.ports.snapshots.Snapshots`."""

    def __init__(
        self,
        writer: Writer,
        readers: Readers,
        runs: Runs,
        dead_letters: DeadLetterWriter,
        counters: CounterWriter,
        outbox: OutboxWriter,
        partitions: int,
    ) -> None:
        self._writer = writer
        self._readers = readers
        self._runs = runs
        self._dead_letters = dead_letters
        self._counters = counters
        self._outbox = outbox
        self._partitions = partitions
        self._index = IndexWriter()
        self._sql = load_statements("dp3.store.sqlite", "snapshots.sql")

    def due(self, lease: Lease, until: int, after: int, limit: int) -> list[int]:
        with self._readers.state() as state:
            due = state.execute(self._sql["due_bounded"], (until, FEW_DUE + 1)).get
            if due <= FEW_DUE:
                page = of_worker(lease, until=until, after=after, limit=limit)
                return [entity for (entity,) in state.execute(self._sql["due_few"], page)]
            entities: list[int] = []
            for first, end in own_ranges(lease, self._partitions, after):
                if len(entities) < limit:
                    page = {"until": until, "after": first, "end": end, "limit": limit - len(entities)}
                    entities += [entity for (entity,) in state.execute(self._sql["due_in_range"], page)]
            return entities

    def latest(self, keys: Sequence[int]) -> dict[int, bytes]:
        text: str = self._readers.value(self._sql["latest_documents"], (listed(keys),))
        return {entity: bytes.fromhex(doc) for entity, doc in _latest(text)}

    def of(self, etype: str, eid: str) -> list[StoredSnapshot]:
        return list(map(StoredSnapshot._make, self._readers.rows(self._sql["rows_of"], (etype, eid))))

    def write(self, lease: Lease, batch: SnapshotBatch) -> None:
        with self._writer.owned(lease) as connection:
            self._write_rows(connection, batch)
            if batch.outbox:
                self._outbox.add_new(connection, batch.outbox)
            if batch.dead_letters:
                self._dead_letters.add(connection, batch.dead_letters)
            self._runs.write_progress(connection, batch)
            self._counters.write(connection, batch.counters, batch.hooks)

    def _write_rows(self, connection: apsw.Connection, batch: SnapshotBatch) -> None:
        touched = {row.entity for row in batch.rows}.union(batch.due, batch.missing)
        touched.update(map(_entity, batch.keys_added))
        alive = self._alive(connection, touched)
        rows = sorted(row for row in batch.rows if row.entity in alive)
        first = {row.entity for row in rows if alive[row.entity]}
        run_for_rows(connection, self._sql["put_snapshots"], rows)
        later = [(row.entity >> ENTITY_SHIFT, row.run, row.entity) for row in rows if row.entity not in first]
        run_for_rows(connection, self._sql["add_superseded"], later)
        self._write_latest(connection, {row.entity: row.run for row in rows}, batch.due, alive)
        self._index.remove(connection, batch.keys_removed)
        self._index.remove_all(connection, batch.keys_renewed)
        keys = batch.keys_added
        if len(alive) < len(touched):
            keys = [key for key in keys if key[-1] in alive]
        self._index.add(connection, keys, first)
        self._write_missing(connection, [entity for entity in batch.missing if entity in alive], batch.run)

    def _write_missing(self, connection: apsw.Connection, entities: Sequence[int], run: int) -> None:
        if entities:
            connection.execute(self._sql["note_last_seen"], (listed(entities),))
            missing = [(entity, run) for entity in entities]
            run_for_rows(connection, self._sql["add_missing"], missing)

    def _alive(self, connection: apsw.Connection, entities: Iterable[int]) -> dict[int, int]:
        """Entities that exist → whether they have no row yet."""
        text: str = connection.execute(self._sql["existing"], (listed(sorted(entities)),)).get
        return dict(_existing(text))

    def _write_latest(
        self,
        connection: apsw.Connection,
        runs: dict[int, int],
        due: dict[int, int | None],
        alive: Container[int],
    ) -> None:
        """Most entities with a new row have a new `due` as well; they are written once."""
        both = [(entity, runs[entity], due[entity]) for entity in runs if entity in due]
        run_for_rows(connection, self._sql["put_latest_and_due"], both)
        rows_only = [(entity, run) for entity, run in runs.items() if entity not in due]
        run_for_rows(connection, self._sql["put_latest"], rows_only)
        due_only = sorted(entity for entity in due if entity in alive and entity not in runs)
        run_for_rows(connection, self._sql["put_due"], [(entity, due[entity]) for entity in due_only])

    def remove_types(self, keep: Sequence[int]) -> None:
        removing = True
        while removing:
            self._writer.wait_for_room()
            with self._writer.transaction() as connection:
                end = time.monotonic() + REMOVAL_S
                while (removing := self._remove_some(connection, keep)) and time.monotonic() < end:
                    pass

    def _remove_some(self, connection: apsw.Connection, keep: Sequence[int]) -> bool:
        for etype, path in connection.execute(self._sql["indexed_types"]).fetchall():
            if etype not in keep:
                some = connection.execute(self._sql["some_of_type"], (path, TYPE_CHUNK)).fetchall()
                connection.executemany(self._sql["end_series"], some)
                connection.executemany(self._sql["supersede_series"], some)
                connection.executemany(self._sql["forget_latest"], some)
                connection.executemany(self._sql["forget_keys"], some)
                return True
        return False


class SnapshotCleaning:
    """See `dp3.store.ports.snapshots.SnapshotCleaning`.

    Runs go first, so nobody sees one of which rows are missing. That a row was superseded is noted when the
    next one is written; only what is to be removed is looked at.
    """

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers
        self._sql = load_statements("dp3.store.sqlite", "cleaning.sql")

    def raise_horizon(self, lease: Lease, before: int, now: int) -> None:
        with self._writer.owned(lease) as connection:
            connection.execute(self._sql["raise_horizon"], {"before": before, "now": now})

    def horizon(self) -> int | None:
        found: int | None = self._readers.value(self._sql["horizon_time"])
        return found

    def clean(self, lease: Lease, max_rows: int) -> Cleaned:
        cleaned = Cleaned(more=True)
        with self._writer.owned(lease) as connection:
            horizon: int | None = connection.execute(self._sql["horizon"]).get
            if horizon is None:
                return Cleaned()
            end = time.monotonic() + SLICE_S
            chunk = _Chunk(connection, self._sql, lease, horizon)
            while cleaned.more and cleaned.rows < max_rows and time.monotonic() < end:
                cleaned = cleaned.and_then(chunk.remove(min(CHUNK_ROWS, max_rows - cleaned.rows)))
        return cleaned


class _Chunk:
    """Removes a few rows in the caller's transaction."""

    def __init__(self, connection: apsw.Connection, sql: Statements, lease: Lease, horizon: int) -> None:
        self._connection = connection
        self._sql = sql
        self._horizon = horizon
        self._mine = of_worker(lease, horizon=horizon)

    def remove(self, limit: int) -> Cleaned:
        """Remove what one statement takes of what is left, about `limit` rows."""
        if runs := self._remove_runs():
            return Cleaned(runs=runs, more=True)
        for kind in KINDS:
            partition: int | None = self._connection.execute(self._sql[f"old_{kind}"], self._mine).get
            if partition is not None:
                some = {"partition": partition, "horizon": self._horizon, "limit": limit}
                return Cleaned(rows=self._remove_some(kind, some), more=True)
        return Cleaned()

    def _remove_runs(self) -> int:
        some = {"horizon": self._horizon, "limit": CHUNK_RUNS}
        last: int | None = self._connection.execute(self._sql["last_old_run"], some).get
        if last is None:
            return 0
        self._connection.execute(self._sql["remove_worker_runs"], (last,))
        self._connection.execute(self._sql["remove_runs"], (last,))
        return self._connection.changes()

    def _remove_some(self, kind: str, some: dict[str, int]) -> int:
        """Returns how many rows of snapshots were removed."""
        if kind != "rows":
            self._connection.execute(self._sql[f"remove_{kind}"], some)
            return 0
        text: str = self._connection.execute(self._sql["superseded"], some).get
        self._connection.execute(self._sql["remove_rows"], (text,))
        removed = self._connection.changes()
        self._connection.execute(self._sql["remove_superseded"], (some["partition"], *_superseded(text)[-1]))
        return removed
