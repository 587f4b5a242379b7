"""How far the work has come: positions, outbox, refused tasks, counters."""

from dp3.sqlite import load_statements
from dp3.store.port import Lease, OutboxRow, PendingOutbox
from dp3.store.sqlite.connections import Readers, Writer


class Progress:
    """See the methods of the same names in `Store`."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers
        self._sql = load_statements("dp3.store.sqlite", "progress.sql")

    def positions(self) -> list[tuple[int, int, int]]:
        with self._readers.state() as state:
            return list(state.execute(self._sql["positions"]))

    def pending_outbox(self, lease: Lease, after_rowid: int, max_bytes: int) -> list[PendingOutbox]:
        mine = {"after": after_rowid, "worker": lease.index, "worker_processes": lease.worker_processes}
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

    def refused_between(self, lane: int, first: int, last: int) -> set[tuple[int, int]]:
        with self._readers.state() as state:
            return set(state.execute(self._sql["refused_between"], (lane, first, last)))

    def forget_refused(self, lane: int, until: int) -> None:
        with self._writer.transaction() as connection:
            connection.execute(self._sql["forget_refused"], (lane, until))

    def counters(self) -> dict[str, int]:
        with self._readers.state() as state:
            return dict(state.execute(self._sql["counters"]))
