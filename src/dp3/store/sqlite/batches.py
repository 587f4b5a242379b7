"""Applying a batch: the only code that changes profiles."""

from collections.abc import Iterable, Mapping
from operator import attrgetter, itemgetter

import apsw

from dp3.clock import Clock
from dp3.sqlite import load_statements, run_for_rows
from dp3.store.ports.batches import Batch
from dp3.store.ports.entities import ENTITY_SHIFT, HistoryRow
from dp3.store.ports.history import lane_of
from dp3.store.ports.leases import Lease
from dp3.store.sqlite.connections import Readers, Writer
from dp3.store.sqlite.counters import CounterWriter
from dp3.store.sqlite.dead_letters import DeadLetterWriter
from dp3.store.sqlite.json_columns import to_json
from dp3.store.sqlite.leases import Leases
from dp3.store.sqlite.links import LinkWriter
from dp3.store.sqlite.own import of_worker

_ENTITY_AND_ATTR = itemgetter(0, 1)
_KEY = itemgetter(0)


class Batches:
    """Commits batches, and tells how far they have come.

    An entity key is used once: creating a key that was ever used does nothing, and rows of an entity that
    does not exist are left out. So a batch that is applied again changes nothing.
    """

    def __init__(
        self,
        writer: Writer,
        readers: Readers,
        leases: Leases,
        clock: Clock,
        dead_letters: DeadLetterWriter,
        counters: CounterWriter,
    ) -> None:
        self._writer = writer
        self._readers = readers
        self._leases = leases
        self._counters = counters
        self._clock = clock
        self._links = LinkWriter()
        self._dead_letters = dead_letters
        self._sql = load_statements("dp3.store.sqlite", "batches.sql")

    def commit(self, lease: Lease, batch: Batch) -> None:
        with self._leases.owned(lease) as connection:
            self._write_entities(connection, batch)
            self._write_rows(connection, batch)
            self._write_outbox(connection, lease, batch)
            self._write_dead_letters(connection, batch)
            self._write_progress(connection, lease, batch)

    def positions(self) -> list[tuple[int, int, int]]:
        with self._readers.state() as state:
            return list(state.execute(self._sql["positions"]))

    def refused_between(self, lane: int, first: int, last: int) -> set[tuple[int, int]]:
        with self._readers.state() as state:
            return set(state.execute(self._sql["refused_between"], (lane, first, last)))

    def forget_refused(self, lane: int, until: int) -> None:
        with self._writer.transaction() as connection:
            connection.execute(self._sql["forget_refused"], (lane, until))

    def make_durable(self) -> None:
        self._writer.make_durable()

    def _write_entities(self, connection: apsw.Connection, batch: Batch) -> None:
        if batch.deleted:
            self._links.note_deletions(connection, batch.deleted, self._clock.now_us())
        deleted = [(key,) for key in sorted(batch.deleted)]
        for statement in ("delete_entity", "forget_look", "forget_unreferenced"):
            connection.executemany(self._sql[statement], deleted)
        connection.executemany(self._sql["put_tombstone"], batch.tombstones)
        gone = set(batch.deleted)
        created = [entity for entity in batch.created if entity.key not in gone]
        created.sort(key=attrgetter("key"))
        connection.executemany(self._sql["create_entity"], created)

    def _write_rows(self, connection: apsw.Connection, batch: Batch) -> None:
        # Sorted by primary key, neighbours share pages; the sort keeps the order of equal keys, so of two
        # values with the same `written` the later one in the batch stays.
        connection.executemany(self._sql["put_plain"], sorted(batch.plain, key=_ENTITY_AND_ATTR))
        self._write_history(connection, sorted(batch.history, key=_KEY))
        connection.executemany(self._sql["put_ttl"], sorted(batch.ttl))
        connection.executemany(self._sql["put_look"], sorted(batch.looks.items()))
        self._write_unlinked(connection, batch)
        self._links.write(connection, batch.links, self._clock.now_us())

    def _write_history(self, connection: apsw.Connection, history: list[HistoryRow]) -> None:
        rows = self._without_packed(connection, history)
        run_for_rows(connection, self._sql["put_incoming"], [(row.key, *row[3:]) for row in rows])
        run_for_rows(connection, self._sql["put_fresh"], sorted([(*row[1:3], row.key) for row in rows]))

    def _write_unlinked(self, connection: apsw.Connection, batch: Batch) -> None:
        """What is left of links to entities that were deleted."""
        connection.executemany(self._sql["remove_plain"], batch.plain_removed)
        connection.executemany(self._sql["remove_history"], sorted(batch.history_removed))
        keys = sorted(key for *_, key in batch.history_removed)
        connection.executemany(self._sql["remove_incoming"], ((key,) for key in keys))
        connection.executemany(self._sql["remove_packed"], sorted(batch.packed_removed))
        self._links.end(connection, batch.links_ended, self._clock.now_us())
        connection.executemany(self._sql["sweep_done"], batch.swept)

    def _without_packed(self, connection: apsw.Connection, rows: list[HistoryRow]) -> list[HistoryRow]:
        """Rows that come again after they were packed would not replace themselves any more."""
        if not rows:
            return rows
        found = connection.execute(self._sql["packing_begun"], (rows[0].key, rows[-1].key))
        begun = {(partition, lane): (until, last) for partition, lane, until, last in found}
        if not begun:
            return rows
        left, late = _not_packed(rows, begun)
        noted = ({"key": key, "partition": partition} for (partition, _), key in late.items())
        connection.executemany(self._sql["note_late"], noted)
        return left

    def _write_outbox(self, connection: apsw.Connection, lease: Lease, batch: Batch) -> None:
        if batch.outbox_drained is not None:
            connection.execute(self._sql["remove_outbox"], of_worker(lease, until=batch.outbox_drained))
        connection.executemany(self._sql["add_outbox"], batch.outbox)

    def _write_dead_letters(self, connection: apsw.Connection, batch: Batch) -> None:
        removed = ((id_,) for id_ in batch.dead_letters_removed)
        connection.executemany(self._sql["remove_dead_letter"], removed)
        self._dead_letters.add(connection, batch.dead_letters)

    def _write_progress(self, connection: apsw.Connection, lease: Lease, batch: Batch) -> None:
        connection.executemany(self._sql["add_refused"], batch.refused)
        self._counters.write(connection, batch.counters, batch.hooks, batch.sources)
        done = ({"id": id_, "result": to_json(result)} for id_, result in batch.control_done)
        connection.executemany(self._sql["finish_control"], done)
        reached = (of_worker(lease, lane=lane, offset=offset) for lane, offset in batch.positions.items())
        connection.executemany(self._sql["advance"], reached)


def _not_packed(
    rows: Iterable[HistoryRow], begun: Mapping[tuple[int, int], tuple[int, int]]
) -> tuple[list[HistoryRow], dict[tuple[int, int], int]]:
    """The rows that are not packed, and the smallest keys of those that packing has passed because their
    entities were made later; `begun` and the keys by (partition, lane). Rows in the order of keys."""
    left: list[HistoryRow] = []
    late: dict[tuple[int, int], int] = {}
    for row in rows:
        place = (row.entity >> ENTITY_SHIFT, lane_of(row.key))
        until, last_entity = begun.get(place, (-1, -1))
        if row.key > until:
            left.append(row)
        elif row.entity > last_entity:
            left.append(row)
            late.setdefault(place, row.key)
    return left, late
