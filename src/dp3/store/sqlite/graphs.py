"""The links that a run works with."""

import apsw

from dp3.sqlite import load_statements
from dp3.store.port import Lease
from dp3.store.sqlite.connections import Readers, Writer
from dp3.store.sqlite.leases import Leases

PART_BYTES = 1 << 20
"""So much is written in one transaction: some 5 ms."""


class Graphs:
    """See `put_graph` and `graph` of `SnapshotStore`."""

    def __init__(self, writer: Writer, readers: Readers, leases: Leases) -> None:
        self._writer = writer
        self._readers = readers
        self._leases = leases
        self._sql = load_statements("dp3.store.sqlite", "graphs.sql")

    def put(self, lease: Lease, run: int, graph: bytes) -> None:
        for part, start in enumerate(range(0, len(graph), PART_BYTES)):
            self._writer.wait_for_room()
            with self._writer.transaction() as connection:
                self._leases.check(connection, lease)
                row = (run, lease.index, part, graph[start : start + PART_BYTES])
                connection.execute(self._sql["put_part"], row)
        with self._writer.transaction() as connection:
            self._leases.check(connection, lease)
            connection.execute(self._sql["complete"], (run, lease.index))

    def get(self, run: int) -> bytes | None:
        with self._readers.state() as state:
            parts = [part for (part,) in state.execute(self._sql["parts"], (run,))]
        return b"".join(parts) if parts else None

    def remove(self, connection: apsw.Connection, run: int) -> None:
        """Forget those up to a run, in the caller's transaction."""
        for statement in ("remove", "remove_parts"):
            connection.execute(self._sql[statement], (run,))
