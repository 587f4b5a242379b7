"""The `Store` on SQLite: one object in front of the parts, one part per noun."""

from collections.abc import Iterable, Sequence
from typing import Any

from dp3.clock import Clock
from dp3.sqlite import Checkpointer, FairLock
from dp3.store.port import (
    Batch,
    ControlMessage,
    Existing,
    Lease,
    LeaseState,
    PendingOutbox,
    ProfileRows,
    StoredDeadLetter,
)
from dp3.store.sqlite.batch import BatchWriter
from dp3.store.sqlite.connections import DataVersion, Readers, Writer
from dp3.store.sqlite.control import Control
from dp3.store.sqlite.entities import Entities
from dp3.store.sqlite.garbage import Garbage
from dp3.store.sqlite.leases import Leases
from dp3.store.sqlite.letters import DeadLetters
from dp3.store.sqlite.names import Names
from dp3.store.sqlite.progress import Progress


class SqliteStore:
    """See `Store` for what each method promises; made by `open_store`."""

    def __init__(
        self,
        *,
        partitions: int,
        clock: Clock,
        max_dead_letters: int,
        lock: FairLock,
        checkpointer: Checkpointer | None,
        writer: Writer,
        readers: Readers,
        version: DataVersion,
    ) -> None:
        self.partitions = partitions
        self._lock = lock
        self._checkpointer = checkpointer
        self._writer = writer
        self._readers = readers
        self._version = version
        self._names = Names(writer, readers)
        self._control = Control(writer, readers, clock)
        self._leases = Leases(writer, readers, clock, self._control)
        self._batches = BatchWriter(self._leases, max_dead_letters)
        self._entities = Entities(readers)
        self._progress = Progress(readers)
        self._garbage = Garbage(writer, self._leases)
        self._letters = DeadLetters(readers)
        self._closed = False

    def etype_id(self, etype: str) -> int:
        return self._names.etype_id(etype)

    def attr_id(self, etype: str, attr: str) -> int:
        return self._names.attr_id(etype, attr)

    def take_lease(self, index: int, worker_processes: int, host: str, pid: int, ttl_s: float) -> Lease:
        return self._leases.take(index, worker_processes, host, pid, ttl_s)

    def heartbeat(self, lease: Lease, status: str) -> None:
        self._leases.heartbeat(lease, status)

    def release_lease(self, lease: Lease) -> None:
        self._leases.release(lease)

    def leases(self) -> list[LeaseState]:
        return self._leases.all()

    def commit(self, lease: Lease, batch: Batch) -> None:
        self._writer.wait_for_room()
        with self._writer.transaction() as connection:
            self._batches.apply(connection, lease, batch)

    def positions(self) -> list[tuple[int, int, int]]:
        return self._progress.positions()

    def find_entities(self, wanted: Sequence[tuple[int, str]]) -> dict[tuple[int, str], Existing]:
        return self._entities.find(wanted)

    def last_entity_keys(self) -> dict[int, int]:
        return self._entities.last_keys()

    def make_durable(self) -> None:
        self._writer.make_durable()

    def pending_outbox(self, lease: Lease, after_rowid: int, max_bytes: int) -> list[PendingOutbox]:
        return self._progress.pending_outbox(lease, after_rowid, max_bytes)

    def collect_garbage(self, lease: Lease, max_rows: int) -> bool:
        self._writer.wait_for_room()
        return self._garbage.collect(lease, max_rows)

    def profile(self, etype: str, eid: str, attr: str | None = None) -> ProfileRows | None:
        return self._entities.profile(etype, eid, attr)

    def entity_counts(self) -> dict[str, int]:
        return self._entities.counts()

    def refused_between(self, lane: int, first: int, last: int) -> set[tuple[int, int]]:
        return self._progress.refused_between(lane, first, last)

    def dead_letters(
        self, after: int, limit: int, filters: dict[str, str] | None = None
    ) -> list[StoredDeadLetter]:
        return self._letters.page(after, limit, filters)

    def dead_letter(self, id: int) -> StoredDeadLetter | None:
        return self._letters.get(id)

    def dead_letter_count(self) -> int:
        return self._letters.count()

    def counters(self) -> dict[str, int]:
        return self._progress.counters()

    def version(self) -> int:
        return self._version()

    def send_control(self, worker: int, action: str, args: dict[str, Any]) -> int:
        return self._control.send(worker, action, args)

    def pending_control(self, worker: int) -> list[ControlMessage]:
        return self._control.pending(worker)

    def control_result(self, ids: Iterable[int]) -> dict[int, dict[str, Any]]:
        return self._control.results(ids)

    def close(self) -> None:
        """Give back connections, files and the checkpointing thread; calling it again does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._checkpointer:
            self._checkpointer.close()
        self._readers.close()
        self._version.close()
        with self._lock.held():
            self._writer.close()
        self._lock.close()
