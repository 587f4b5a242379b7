"""Removing the rows of deleted entities, a slice at a time."""

import time

import apsw

from dp3.sqlite import load_statements
from dp3.store.port import Lease
from dp3.store.sqlite.connections import Writer
from dp3.store.sqlite.leases import Leases

SLICE_S = 0.03
"""A slice begins no further chunk after this time, so it holds the write lock for less than 50 ms."""

CHUNK_ROWS = 200
"""Rows are scattered; one costs up to some 20 µs to remove."""


class Garbage:
    """Rows of deleted entities cannot be read any more, so nobody waits for their removal."""

    def __init__(self, writer: Writer, leases: Leases) -> None:
        self._writer = writer
        self._leases = leases
        self._sql = load_statements("dp3.store.sqlite", "garbage.sql")

    def collect(self, lease: Lease, max_rows: int) -> bool:
        """Remove up to `max_rows` rows of deleted entities of the worker; True when there may be more."""
        mine = {"worker": lease.index, "worker_processes": lease.worker_processes}
        with self._writer.transaction() as connection:
            self._leases.check(connection, lease)
            end = time.monotonic() + SLICE_S
            while max_rows > 0 and time.monotonic() < end:
                entity = connection.execute(self._sql["next_entity"], mine).get
                if entity is None:
                    return False
                max_rows -= self._remove(connection, entity, min(max_rows, CHUNK_ROWS))
        return True

    def _remove(self, connection: apsw.Connection, entity: int, limit: int) -> int:
        """Remove up to `limit` rows; returns how many, counting the mark that the entity is garbage."""
        removed = 0
        for statement in ("remove_history", "remove_plain", "remove_ttl"):
            connection.execute(self._sql[statement], {"entity": entity, "limit": limit - removed})
            removed += connection.changes()
        if removed < limit:
            connection.execute(self._sql["forget"], (entity,))
            removed += 1
        return removed
