"""Removing the rows of deleted entities, a slice at a time."""

import time
from collections.abc import Callable

import apsw

from dp3.clock import Clock
from dp3.sqlite import load_statements
from dp3.store.ports.leases import Lease
from dp3.store.sqlite.connections import Writer
from dp3.store.sqlite.parameters import of_worker

SLICE_S = 0.03
"""A slice begins no further chunk after this time, so it holds the write lock for less than 50 ms."""

STATEMENTS = (
    "remove_incoming",
    "remove_history",
    "remove_packed",
    "remove_recent",
    "remove_former",
    "remove_plain",
    "remove_ttl",
    "remove_snapshots",
    "remove_missing",
    "remove_last_seen",
    "remove_latest",
    "remove_keys",
    "remove_eid_key",
    "remove_links",
    "forget",
)
"""In this order: there must not be fewer eids in the index than entities at another path, and an entity is
forgotten when nothing is left of it. Each does something only once all before it have nothing more to do."""

NOBODY = "[]"

MARGIN_US = 3_600 * 1_000_000
"""Clocks of workers differ a little, and an administrator may set one."""

CHUNK_ROWS = 200
"""Rows are scattered; one costs up to some 20 µs to remove."""

CHUNK_ENTITIES = 40
"""Looked at together: most have a few rows in some of the tables."""


class Garbage:
    """Rows of deleted entities cannot be read any more, so nobody waits for their removal."""

    def __init__(self, writer: Writer, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock
        self._sql = load_statements("dp3.store.sqlite", "garbage.sql")

    def collect(self, lease: Lease, max_rows: int, by_age: Callable[[], bool]) -> bool:
        """See `Entities.collect_garbage`."""
        with self._writer.owned(lease) as connection:
            removed = self.remove_some(connection, lease, max_rows)
            if removed is not None:
                return self._remove_ended_links(connection, min(max_rows - removed, CHUNK_ROWS), by_age)
        return True

    def remove_some(self, connection: apsw.Connection, lease: Lease, max_rows: int) -> int | None:
        """Remove rows of deleted entities of the worker in the caller's transaction, for a slice of time.
        How many it were if that was all, else None."""
        end = time.monotonic() + SLICE_S
        left = max_rows
        while left > 0 and time.monotonic() < end:
            entities: str = connection.execute(
                self._sql["next_entities"], of_worker(lease, limit=min(left, CHUNK_ENTITIES))
            ).get
            if entities == NOBODY:
                return max_rows - left
            left -= self._remove(connection, entities, min(left, CHUNK_ROWS))
        return None

    def _remove(self, connection: apsw.Connection, entities: str, limit: int) -> int:
        """Remove up to `limit` rows of entities (JSON); returns how many, counting the notes that they are
        garbage."""
        removed = 0
        for statement in STATEMENTS:
            connection.execute(self._sql[statement], {"entities": entities, "limit": limit - removed})
            removed += connection.changes()
        return removed

    def _remove_ended_links(
        self, connection: apsw.Connection, limit: int, by_age: Callable[[], bool]
    ) -> bool:
        """Forget links that ended, and changes, that no later run asks for; True when there may be more."""
        time, change, is_open = connection.execute(self._sql["links_seen"]).get
        if change is None and is_open:
            return False
        now = self._clock.now_us()
        if not by_age():
            return False
        seen = {"seen": min(now if time is None else time, now) - MARGIN_US, "change": change}
        removed = 0
        for statement in ("remove_changes", "remove_ended_links"):
            connection.execute(self._sql[statement], {**seen, "limit": limit - removed})
            removed += connection.changes()
        return removed == limit
