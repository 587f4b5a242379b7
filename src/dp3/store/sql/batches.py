"""Applying a batch: the only code that changes profiles. The outbox, whose rows come with batches."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Any, TypeVar

from dp3.clock import Clock
from dp3.store.ports.batches import RUN_SHIFT, Batch, OutboxRow, Progress, Stream
from dp3.store.ports.entities import PlainRow
from dp3.store.ports.errors import PositionsMoved
from dp3.store.ports.leases import Lease
from dp3.store.sql.counters import CounterWriter
from dp3.store.sql.dead_letters import DeadLetterWriter
from dp3.store.sql.links import LinkWriter
from dp3.store.sql.parameters import of_worker, to_json
from dp3.store.sql.scans import ScanWriter
from dp3.store.sql.session import Database, Session

_ENTITY_AND_ATTR, _PLAIN_ORDER = itemgetter(0, 1), itemgetter(2)

Row = TypeVar("Row", bound=tuple[Any, ...])

_IDS: dict[int, tuple[str, int]] = {Stream.CONTROL: ("control", 0), Stream.SNAPSHOTS: ("run", RUN_SHIFT)}
"""Streams whose keys come from ids of a table: its name, and by how many bits they are shifted."""


class Batches:
    """See `dp3.store.ports.batches.Batches`."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        dead_letters: DeadLetterWriter,
        counters: CounterWriter,
        outbox: "OutboxWriter",
    ) -> None:
        self._database = database
        self._counters = counters
        self._clock = clock
        self._links = LinkWriter()
        self._scans = ScanWriter()
        self._outbox = outbox
        self._dead_letters = dead_letters

    def commit(self, lease: Lease, batch: Batch) -> None:
        # Sorted by primary key, neighbours share pages.
        plain = _latest_values(batch.plain)
        batch.incoming.sort()
        batch.fresh.sort()
        with self._database.owned(lease) as session:
            if batch.progress is not None:
                self._require_start(session, lease, batch.progress)
            if batch.deleted or batch.tombstones or batch.created:
                self._write_entities(session, batch)
            self._write_rows(session, batch, plain)
            self._write_removed(session, batch)
            if batch.outbox_drained is not None:
                self._outbox.remove(session, lease, batch.outbox_drained)
            if batch.outbox:
                self._outbox.add_rows(session, batch.outbox)
            self._write_dead_letters(session, batch)
            self._write_counts(session, batch)
            if batch.progress is not None:
                self._advance(session, lease, batch.progress)

    def positions(self) -> list[tuple[int, int, int]]:
        return self._database.rows("batches.positions")

    def order(self) -> int:
        found: int = self._database.value("batches.order")
        return found

    def refused_between(self, lane: int, first: int, last: int) -> set[tuple[int, int]]:
        return set(self._database.rows("batches.refused_between", (lane, first, last)))

    def forget_refused(self, lane: int, until: int) -> None:
        with self._database.writing() as session:
            session.run("batches.forget_refused", (lane, until))

    def make_durable(self) -> None:
        self._database.make_durable()

    def _write_entities(self, session: Session, batch: Batch) -> None:
        if batch.deleted:
            self._links.note_deletions(session, batch.deleted)
            deleted = sorted(batch.deleted)
            for statement in ("delete_entities", "forget_expiry_checks", "forget_unreferenced"):
                session.run(f"batches.{statement}", (deleted,))
        session.bulk(
            "batches.put_tombstones",
            _latest(batch.tombstones, attrgetter("etype", "eid"), attrgetter("order")),
        )
        gone = set(batch.deleted)
        created = [entity for entity in batch.created if entity.key not in gone]
        created.sort(key=attrgetter("key"))
        session.bulk("batches.create_entities", created)

    def _write_rows(self, session: Session, batch: Batch, plain: Sequence[PlainRow]) -> None:
        session.bulk("batches.put_plain", plain)
        session.bulk("batches.put_incoming", batch.incoming)
        session.bulk("batches.put_fresh", batch.fresh)
        session.bulk("batches.put_ttl", _longest(batch.ttl))
        session.bulk("batches.put_expiry_checks", sorted(batch.expiry_checks.items()))

    def _write_removed(self, session: Session, batch: Batch) -> None:
        """Remove what mentions deleted entities, then change links."""
        if batch.history_removed or batch.plain_removed or batch.packed_removed:
            session.bulk("batches.remove_plain", sorted(batch.plain_removed))
            session.bulk("batches.remove_history", sorted(batch.history_removed))
            keys = sorted(key for *_, key in batch.history_removed)
            session.run("batches.remove_incoming", (keys,))
            session.bulk("batches.remove_packed", sorted(batch.packed_removed))
            self._scans.cut_all(session, [row[:2] for row in batch.packed_removed])
        if batch.links_ended:
            self._links.end(session, batch.links_ended)
        session.bulk("batches.tombstones_done", _first_of_each(batch.tombstones_done, 3))
        if batch.links:
            self._links.write(session, batch.links, self._clock.now_us())

    def _write_dead_letters(self, session: Session, batch: Batch) -> None:
        if batch.dead_letters_removed:
            removed = list(batch.dead_letters_removed)
            session.run("batches.remove_dead_letters", (removed,))
        if batch.dead_letters:
            self._dead_letters.add(session, batch.dead_letters)

    def _write_counts(self, session: Session, batch: Batch) -> None:
        session.bulk("batches.add_refused", batch.refused)
        self._counters.write(session, batch.counters, batch.hooks, batch.sources)
        if batch.control_done:
            done = [(id_, to_json(result)) for id_, result in _first_of_each(batch.control_done, 1)]
            session.bulk("batches.finish_control", done)

    def _require_start(self, session: Session, lease: Lease, progress: Progress) -> None:
        """Raise `PositionsMoved` unless the stored positions are those from which a batch starts."""
        rows: Iterable[Any] = session.rows("batches.own_positions", of_worker(lease, lane=progress.lane))
        stored: dict[int, int] = dict(rows)
        if stored != progress.since:
            raise PositionsMoved(_moved(lease, progress, stored))

    def _advance(self, session: Session, lease: Lease, progress: Progress) -> None:
        lane, _, until, order = progress
        if until is not None:
            reached = of_worker(lease, lane=lane, offset=until, entry_order=order)
            session.run("batches.advance", reached)


def _latest_values(plain: list[PlainRow]) -> Sequence[PlainRow]:
    """Plain values by entity and attribute, of each one. Sorts `plain`."""
    plain.sort(key=_ENTITY_AND_ATTR)
    if len(set(map(_ENTITY_AND_ATTR, plain))) == len(plain):
        return plain
    return _latest(plain, _ENTITY_AND_ATTR, _PLAIN_ORDER)


def _latest(rows: Iterable[Row], place: Callable[[Row], Any], order: Callable[[Row], int]) -> list[Row]:
    """Of the rows of each place the one of the latest entry, of those of an entry the last one."""
    latest: dict[Any, Row] = {}
    for row in rows:
        known = latest.setdefault(place(row), row)
        if order(row) >= order(known):
            latest[place(row)] = row
    return list(latest.values())


def _longest(ttl: Iterable[tuple[int, str, int]]) -> list[tuple[int, str, int]]:
    """Of several tokens of one name the one that holds longest."""
    longest: dict[tuple[int, str], int] = {}
    for entity, name, until in ttl:
        longest[entity, name] = max(until, longest.get((entity, name), until))
    return sorted((*token, until) for token, until in longest.items())


def _first_of_each(rows: Iterable[Row], columns: int) -> list[Row]:
    """Of the rows with the same first columns one."""
    first: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        first.setdefault(row[:columns], row)
    return list(first.values())


def _moved(lease: Lease, progress: Progress, stored: Mapping[int, int]) -> str:
    lane, since = progress.lane, progress.since
    partition = min(key for key in since.keys() | stored.keys() if since.get(key) != stored.get(key))
    return (
        f"worker {lease.index} of {lease.worker_processes}: partition {partition} has applied lane {lane} up "
        f"to entry {stored.get(partition)}, the batch starts from {since.get(partition)}; nothing was written"
    )


class Outbox:
    """See `dp3.store.ports.batches.Outbox`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def go_above(self, taken: Iterable[tuple[int, int, int]]) -> None:
        own = (each for each in taken if each[1] >= Stream.CONTROL)
        unknown = [each for each in own if each[2] > self._last_key(*each[:2])]
        if unknown:
            with self._database.writing() as session:
                for each in unknown:
                    self._raise(session, *each)

    def _last_key(self, partition: int, stream: int) -> int:
        if stream in _IDS:
            table, shift = _IDS[stream]
            last = self._database.value("outbox.last_id", (table,))
            return -1 if last is None else ((int(last) + 1) << shift) - 1
        last = self._database.value("outbox.last_key", (partition, stream))
        return -1 if last is None else int(last)

    def _raise(self, session: Session, partition: int, stream: int, key: int) -> None:
        """Let what the state gives next be above a key; in the caller's transaction."""
        if stream in _IDS:
            table, shift = _IDS[stream]
            last = session.value("outbox.last_id", (table,)) or 0
            session.run("outbox.forget_id", (table,))
            session.run("outbox.note_id", (table, max(last, key >> shift)))
        else:
            session.bulk("outbox.put_keys", [(partition, stream, key)])

    def pending(self, lease: Lease, after: int, max_bytes: int) -> list[tuple[int, OutboxRow]]:
        pending: list[tuple[int, OutboxRow]] = []
        size = 0
        with self._database.reading() as session:
            for id_, *columns in session.stream("outbox.pending", of_worker(lease, after=after)):
                row = OutboxRow(*columns)
                size += len(row.tasks)
                if pending and size > max_bytes:
                    break
                pending.append((id_, row))
        return pending


class OutboxWriter:
    """Changes the outbox in the caller's transaction."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def remove(self, session: Session, lease: Lease, until: int) -> None:
        """Remove rows of a worker that are in the log: those up to a position."""
        session.run("outbox.remove", of_worker(lease, until=until))

    def add_rows(self, session: Session, rows: Sequence[OutboxRow]) -> None:
        """Add rows, whatever their keys."""
        session.bulk("outbox.add", rows)

    def add(self, session: Session, lease: Lease, stream: Stream, tasks: bytes) -> None:
        """Add tasks (`encode_tasks(...)`) that come from no entry of the log as one row. Its key is the time,
        or the one after all keys that the state remembers of the stream."""
        now, producer = self._clock.now_us(), (lease.index, stream)
        key = session.value("outbox.next_key", (*producer, now))
        self.add_rows(session, [OutboxRow(*producer, key, 0, tasks)])

    def add_new(self, session: Session, rows: Sequence[OutboxRow]) -> None:
        """Add those rows whose keys are above all that the state remembers of their streams; others were
        added before."""
        producers = sorted({row[:2] for row in rows})
        known = session.bulk_rows("outbox.last_keys", producers)
        last = {(partition, stream): key for partition, stream, key in known}
        new = [row for row in rows if row[:2] not in last or row.source > last[row[:2]]]
        self.add_rows(session, new)
        keys: dict[tuple[int, int], int] = {}
        for row in new:
            keys[row[:2]] = max(row.source, keys.get(row[:2], row.source))
        session.bulk("outbox.put_keys", [(*producer, key) for producer, key in keys.items()])
