"""Stored snapshots: read, and written a slice of a run at a time."""

import math
import time
from collections.abc import Container, Iterable, Sequence
from operator import itemgetter

import apsw
import msgspec

from dp3.sqlite import load_statements, run_for_rows
from dp3.store.ports.batches import OutboxRow
from dp3.store.ports.entities import ENTITY_SHIFT
from dp3.store.ports.leases import Lease
from dp3.store.ports.snapshots import SnapshotBatch, StoredSnapshot
from dp3.store.sqlite.connections import Readers, Writer
from dp3.store.sqlite.counters import CounterWriter
from dp3.store.sqlite.dead_letters import DeadLetterWriter
from dp3.store.sqlite.index import IndexWriter
from dp3.store.sqlite.leases import Leases
from dp3.store.sqlite.own import own_ranges
from dp3.store.sqlite.runs import Runs

FEW_DUE = 10_000
"""Up to so many due entities are found through the index and sorted for every page."""


_latest = msgspec.json.Decoder(list[tuple[int, int, str]]).decode
"""Many rows come as one text: in one step, without the interpreter's lock."""


def _listed(numbers: Iterable[int]) -> str:
    return msgspec.json.encode(list(numbers)).decode()


TYPE_CHUNK = 10
"""Entities of a type without snapshots that are taken out of the index at once."""

REMOVAL_S = 0.015
"""One transaction takes out no more after this time."""


_entity = itemgetter(2)
_existing = msgspec.json.Decoder(list[tuple[int, int]]).decode


class Snapshots:
    """See the methods of the same names in `SnapshotStore`."""

    def __init__(
        self,
        writer: Writer,
        readers: Readers,
        leases: Leases,
        runs: Runs,
        dead_letters: DeadLetterWriter,
        counters: CounterWriter,
        partitions: int,
    ) -> None:
        self._writer = writer
        self._readers = readers
        self._leases = leases
        self._runs = runs
        self._dead_letters = dead_letters
        self._counters = counters
        self._partitions = partitions
        self._index = IndexWriter()
        self._sql = load_statements("dp3.store.sqlite", "snapshots.sql")

    def due(self, lease: Lease, until: int, after: int, limit: int) -> list[int]:
        with self._readers.state() as state:
            due = state.execute(self._sql["due_bounded"], (until, FEW_DUE + 1)).get
            if due <= FEW_DUE:
                mine = {"worker": lease.index, "worker_processes": lease.worker_processes}
                page = {"until": until, "after": after, "limit": limit}
                return [entity for (entity,) in state.execute(self._sql["due_few"], page | mine)]
            entities: list[int] = []
            for first, end in own_ranges(lease, self._partitions, after):
                if len(entities) < limit:
                    page = {"until": until, "after": first, "end": end, "limit": limit - len(entities)}
                    entities += [entity for (entity,) in state.execute(self._sql["due_in_range"], page)]
            return entities

    def latest(self, keys: Sequence[int]) -> dict[int, StoredSnapshot]:
        with self._readers.state() as state:
            text: str = state.execute(self._sql["latest_rows"], (_listed(keys),)).get
        return {entity: StoredSnapshot(entity, run, bytes.fromhex(doc)) for entity, run, doc in _latest(text)}

    def of(self, etype: str, eid: str) -> list[StoredSnapshot]:
        with self._readers.state() as state:
            return list(map(StoredSnapshot._make, state.execute(self._sql["rows_of"], (etype, eid))))

    def write(self, lease: Lease, batch: SnapshotBatch) -> None:
        with self._leases.owned(lease) as connection:
            self._write_rows(connection, batch)
            self._write_outbox(connection, batch.outbox)
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
            wanted = msgspec.json.encode(entities).decode()
            connection.execute(self._sql["note_last_seen"], (wanted,))
            missing = [(entity, run) for entity in entities]
            run_for_rows(connection, self._sql["add_missing"], missing)

    def _alive(self, connection: apsw.Connection, entities: Iterable[int]) -> dict[int, int]:
        """Entities that exist → whether they have no row yet."""
        wanted = msgspec.json.encode(sorted(entities)).decode()
        text: str = connection.execute(self._sql["existing"], (wanted,)).get
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

    def _write_outbox(self, connection: apsw.Connection, rows: Sequence[OutboxRow]) -> None:
        lanes = {(row.partition, row.lane) for row in rows}
        last = {lane: connection.execute(self._sql["last_outbox_key"], lane).get for lane in lanes}
        new = [row for row in rows if row.source > _or_none(last[row.partition, row.lane])]
        connection.executemany(self._sql["add_outbox"], new)
        newest: dict[tuple[int, int], int] = {}
        for row in new:
            lane = (row.partition, row.lane)
            newest[lane] = max(row.source, newest.get(lane, row.source))
        connection.executemany(self._sql["put_outbox_key"], ((*lane, key) for lane, key in newest.items()))

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


def _or_none(key: int | None) -> float:
    return -math.inf if key is None else key
