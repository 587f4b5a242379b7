"""The rows of an append: offsets, orders, append times, idempotency keys and producer keys."""

import threading
from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from contextlib import suppress

import apsw

from dp3.clock import Clock
from dp3.clock_watch import ClockWatch
from dp3.log.ages import Tail, recent_since
from dp3.log.answers import next_order, repeated
from dp3.log.checksums import entry_checksum
from dp3.log.framing import frame, merge_slices, stored_form
from dp3.log.port import (
    IDEMPOTENCY_WINDOW_US,
    Append,
    Appended,
    IdempotencyConflict,
    Lane,
    OutboxSlice,
    Producer,
)
from dp3.log.sqlite.reading import LaneReader
from dp3.log.sqlite.segments import SegmentFiles, SegmentMissing
from dp3.statements import Statements


class NewEntries:
    """Entries that are about to follow the end of a lane, and everything of an order up to `after`. `latest`
    is the largest append time of their segment, which begins at the offset `segment`."""

    def __init__(self, lane: Lane, tail: Tail, now_us: int, after: int) -> None:
        self._lane = lane
        self._now_us = now_us
        self._offset, self._order, self._total = tail.offset, max(tail.order, after), tail.total
        self.latest, self.segment = max(tail.latest, now_us), tail.first
        self._rows: list[tuple[int, int, int, int, int, int, bytes]] = []

    def add(self, slices: Mapping[int, bytes]) -> Appended:
        """One more entry."""
        body = frame(slices)
        self._offset += 1
        self._order = next_order(self._lane, self._order)
        self._total += len(body)
        columns = (self._offset, self._order, self._now_us, self.latest, self._total)
        stored = stored_form(body)
        self._rows.append((*columns, entry_checksum(self._lane, *columns, stored), stored))
        return Appended(self._offset, self._now_us)

    def insert(self, connection: apsw.Connection, sql: Statements) -> None:
        """Write them; the caller has a transaction."""
        connection.executemany(sql["insert_entry"], self._rows)


class RecentKeys:
    """Idempotency keys of the last 24 hours, found also in the sealed segments of the MAIN lane.

    A sealed segment never changes, so a sorted array of its keys' hashes (8 bytes a key) is kept, and
    only a segment that may have the key is asked.
    """

    def __init__(self, reader: LaneReader, files: SegmentFiles, clock: Clock) -> None:
        self._watch = ClockWatch(clock)
        self._trusted_us = 0
        self._reader = reader
        self._files = files
        self._mutex = threading.Lock()
        self._sealed: dict[int, array[int]] = {}
        """First offset → the hashes."""
        self._since: dict[int, int] = {}
        """First offset → append time from which on keys count, the segment at the end included."""

    def load(self, now_us: int) -> None:
        """Get to know the segments that were sealed since the last call; forget those whose keys may be used
        again. Call it once before taking the lane's lock, where it may take long, and once under it."""
        with self._mutex:
            since_us = now_us - IDEMPOTENCY_WINDOW_US
            if self._watch.is_trusted:
                self._trusted_us = since_us
            since_us = min(since_us, self._trusted_us)  # a clock that may be ahead forgets nothing
            self._reader.retrying(lambda: self._look(now_us, since_us))

    def find(self, newest: apsw.Connection, first: int, key: str) -> tuple[bytes, Appended] | None:
        """The digest and the append with `key` in the newest segment, which begins at `first`, or a loaded
        one."""
        found = self._find(newest, key, self._since.get(first, 0))
        for sealed, hashes in self._sealed.items():
            if found:
                break
            if _contains(hashes, hash(key)):
                # One that is removed meanwhile is older than the window.
                with suppress(SegmentMissing), self._files.lent(sealed) as connection:
                    found = self._find(connection, key, self._since.get(sealed, 0))
        return found

    def _look(self, now_us: int, since_us: int) -> None:
        ends = self._reader.ends(now_us)
        self._since = recent_since(ends, since_us)
        sealed: dict[int, array[int]] = {}
        for end in ends:
            if end.sealed and end.first in self._since:
                known = self._sealed.get(end.first)
                sealed[end.first] = self._load(end.first) if known is None else known
        self._sealed = sealed

    def _load(self, first: int) -> "array[int]":
        with self._files.lent(first) as connection:
            rows = map(self._files.verified, connection.execute(self._files.sql["idempotency_keys"]))
            return array("q", sorted(hash(key) for key, *_ in rows))

    def _find(self, connection: apsw.Connection, key: str, since_us: int) -> tuple[bytes, Appended] | None:
        row = connection.execute(self._files.sql["find_idempotency_key"], (key, since_us)).get
        if row is None:
            return None
        _, digest, offset, append_time, _ = self._files.verified(row)
        return digest, Appended(offset, append_time, repeated=True)


def _contains(hashes: "array[int]", wanted: int) -> bool:
    index = bisect_left(hashes, wanted)
    return index < len(hashes) and hashes[index] == wanted


def append_requests(
    connection: apsw.Connection,
    files: SegmentFiles,
    entries: NewEntries,
    now_us: int,
    appends: Sequence[Append],
    recent: RecentKeys,
) -> list[Appended | IdempotencyConflict]:
    """Append requests to the MAIN lane in the caller's transaction, each idempotency key once. One outcome
    per append, in order. `entries` has none yet."""
    sql = files.sql
    if any(append.idempotency for append in appends):
        recent.load(now_us)
    outcomes: list[Appended | IdempotencyConflict] = []
    for append in appends:
        first = append.idempotency and recent.find(connection, entries.segment, append.idempotency[0])
        if first:
            outcomes.append(repeated(append, *first))
            continue
        *others, last = append.entries
        for slices in others:
            entries.add(slices)
        added = entries.add(last)
        if append.idempotency:
            row = (*append.idempotency, *added[:2], entries.latest)
            connection.executemany(sql["set_idempotency_key"], files.with_checksums([row]))
        outcomes.append(added)
    entries.insert(connection, sql)
    return outcomes


def append_outbox(
    connection: apsw.Connection, files: SegmentFiles, entries: NewEntries, parts: Sequence[OutboxSlice]
) -> Appended | None:
    """Append the parts that are new as one entry of the DERIVED lane, and remember their keys; in the
    caller's transaction. `entries` has none yet."""
    last_keys: dict[Producer, int] = {}
    new: list[OutboxSlice] = []
    for part in parts:
        last = last_keys.get(part.producer)
        if last is None:
            row = connection.execute(files.sql["producer_key"], tuple(part.producer)).get
            last = row and files.verified(row)[2]
        if last is None or part.key > last:
            last_keys[part.producer] = part.key
            new.append(part)
    if not new:
        return None
    added = entries.add(merge_slices(part.slices for part in new))
    entries.insert(connection, files.sql)
    keys = ((*producer, key) for producer, key in last_keys.items())
    connection.executemany(files.sql["set_producer_key"], files.with_checksums(keys))
    return added
