"""Removing the rows of deleted entities, a slice at a time."""

import time
from collections.abc import Callable

import msgspec

from dp3.clock import Clock
from dp3.store.ports.leases import Lease
from dp3.store.sql.parameters import of_worker
from dp3.store.sql.session import Database, Session

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

_deleted = msgspec.json.Decoder(list[tuple[int, int, str]]).decode

MARGIN_US = 3_600 * 1_000_000
"""Clocks of workers differ a little, and an administrator may set one."""

CHUNK_ROWS = 200
"""Rows are scattered; one costs up to some 20 µs to remove."""

CHUNK_ENTITIES = 40
"""Looked at together: most have a few rows in some of the tables."""


class Garbage:
    """Rows of deleted entities cannot be read any more, so nobody waits for their removal."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def collect(self, lease: Lease, max_rows: int, by_age: Callable[[], bool]) -> bool:
        """See `Entities.collect_garbage`."""
        with self._database.owned(lease) as session:
            removed = self.remove_some(session, lease, max_rows)
            if removed is not None:
                return self._remove_ended_links(session, min(max_rows - removed, CHUNK_ROWS), by_age)
        return True

    def remove_some(self, session: Session, lease: Lease, max_rows: int) -> int | None:
        """Remove rows of deleted entities of the worker in the caller's transaction, for a slice of time.
        How many it were if that was all, else None."""
        end = time.monotonic() + SLICE_S
        left = max_rows
        while left > 0 and time.monotonic() < end:
            wanted = of_worker(lease, limit=min(left, CHUNK_ENTITIES))
            entities = _deleted(session.value("garbage.next_entities", wanted))
            if not entities:
                return max_rows - left
            left -= self._remove(session, entities, min(left, CHUNK_ROWS))
        return None

    def _remove(self, session: Session, entities: list[tuple[int, int, str]], limit: int) -> int:
        """Remove up to `limit` rows of entities; returns how many, counting the notes that they are
        garbage."""
        removed = 0
        for statement in STATEMENTS:
            wanted = {"entities": entities, "limit": limit - removed}
            removed += session.affected(f"garbage.{statement}", wanted)
        return removed

    def _remove_ended_links(self, session: Session, limit: int, by_age: Callable[[], bool]) -> bool:
        """Forget links that ended, and changes, that no later run asks for; True when there may be more."""
        time, change, is_open = session.value("garbage.links_seen")
        if change is None and is_open:
            return False
        now = self._clock.now_us()
        if not by_age():
            return False
        seen = {"seen": min(now if time is None else time, now) - MARGIN_US, "change": change}
        removed = 0
        for statement in ("remove_changes", "remove_ended_links"):
            removed += session.affected(f"garbage.{statement}", {**seen, "limit": limit - removed})
        return removed == limit
