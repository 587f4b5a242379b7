"""Derived tasks that wait for the log."""

from dp3.sqlite import load_statements
from dp3.store.ports.batches import OutboxRow, PendingOutbox
from dp3.store.ports.leases import Lease
from dp3.store.sqlite.connections import Readers
from dp3.store.sqlite.own import of_worker


class Outbox:
    """See `dp3.store.ports.batches.Outbox`."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._sql = load_statements("dp3.store.sqlite", "outbox.sql")

    def pending(self, lease: Lease, after_rowid: int, max_bytes: int) -> list[PendingOutbox]:
        mine = of_worker(lease, after=after_rowid)
        pending: list[PendingOutbox] = []
        size = 0
        with self._readers.state() as state:
            for rowid, *columns in state.execute(self._sql["pending_outbox"], mine):
                row = OutboxRow(*columns)
                size += len(row.tasks)
                if pending and size > max_bytes:
                    break
                pending.append(PendingOutbox(rowid, row))
        return pending
