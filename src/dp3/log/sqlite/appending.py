"""The rows of an append: offsets, append times, idempotency keys and producer keys."""

import threading
from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence

import apsw

from dp3.log.framing import frame, merge_slices
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
from dp3.log.sqlite.segments import SegmentFiles, SegmentMissing, Tail
from dp3.sqlite import Statements


def next_append_time(lane: Lane, last_us: int, now_us: int) -> int:
    """The first time after `last_us`, not before `now_us`, that belongs to the lane: even in MAIN, odd
    in DERIVED."""
    earliest = max(last_us + 1, now_us)
    return earliest + (earliest % 2 != lane)


class NewEntries:
    """Entries that are about to follow the end of a lane."""

    def __init__(self, lane: Lane, tail: Tail, now_us: int) -> None:
        self._lane = lane
        self._now_us = now_us
        self._offset, self._append_time, self._total = tail.offset, tail.append_time, tail.total
        self._rows: list[tuple[int, int, int, bytes]] = []

    def add(self, slices: Mapping[int, bytes], after_us: int = 0) -> Appended:
        """One more entry; its append time is later than `after_us`."""
        body = frame(slices)
        self._offset += 1
        self._append_time = next_append_time(self._lane, max(self._append_time, after_us), self._now_us)
        self._total += len(body)
        self._rows.append((self._offset, self._append_time, self._total, body))
        return Appended(self._offset, self._append_time)

    def insert(self, connection: apsw.Connection, sql: Statements) -> None:
        """Write them; the caller has a transaction."""
        connection.executemany(sql["insert_entry"], self._rows)


class RecentKeys:
    """Idempotency keys of the last 24 hours, found also in the sealed segments of the MAIN lane.

    A sealed segment never changes, so a sorted array of its keys' hashes (8 bytes a key) is kept, and
    only a segment that may have the key is asked.
    """

    def __init__(self, reader: LaneReader, files: SegmentFiles) -> None:
        self._reader = reader
        self._files = files
        self._mutex = threading.Lock()
        self._sealed: dict[int, tuple[int, array[int]]] = {}
        """First offset → time of the last append, and the hashes."""

    def load(self, since_us: int) -> None:
        """Get to know the segments that were sealed since the last call; forget those that ended before
        `since_us`. Call it once before taking the lane's lock, where it may take long, and once under it."""
        with self._mutex:
            known: dict[int, tuple[int, array[int]]] = {}
            for first in reversed(self._reader.segments()[:-1]):
                try:
                    sealed = self._sealed.get(first) or self._load(first)
                except SegmentMissing:
                    break
                if sealed[0] < since_us:
                    break
                known[first] = sealed
            self._sealed = known

    def find(self, newest: apsw.Connection, key: str, since_us: int) -> tuple[bytes, Appended] | None:
        """The digest and the append with `key` that is not older than `since_us`, in the newest segment or a
        loaded one."""
        found = self._find(newest, key, since_us)
        for first, (_, hashes) in self._sealed.items():
            if found:
                break
            if _contains(hashes, hash(key)):
                with self._files.lent(first) as connection:
                    found = self._find(connection, key, since_us)
        return found

    def _load(self, first: int) -> tuple[int, "array[int]"]:
        with self._files.lent(first) as connection:
            keys = connection.execute(self._files.sql["idempotency_keys"])
            hashes = array("q", sorted(hash(key) for (key,) in keys))
        return self._reader.tail(first).append_time, hashes

    def _find(self, connection: apsw.Connection, key: str, since_us: int) -> tuple[bytes, Appended] | None:
        row = connection.execute(self._files.sql["find_idempotency_key"], (key, since_us)).get
        if row is None:
            return None
        digest, offset, append_time = row
        return digest, Appended(offset, append_time, repeated=True)


def _contains(hashes: "array[int]", wanted: int) -> bool:
    index = bisect_left(hashes, wanted)
    return index < len(hashes) and hashes[index] == wanted


def append_requests(
    connection: apsw.Connection,
    sql: Statements,
    tail: Tail,
    now_us: int,
    appends: Sequence[Append],
    recent: RecentKeys,
) -> list[Appended | IdempotencyConflict]:
    """Append requests to the MAIN lane in the caller's transaction, each idempotency key once. One outcome
    per append, in order."""
    since_us = now_us - IDEMPOTENCY_WINDOW_US
    if any(append.idempotency for append in appends):
        recent.load(since_us)
    entries = NewEntries(Lane.MAIN, tail, now_us)
    outcomes: list[Appended | IdempotencyConflict] = []
    for append in appends:
        first = append.idempotency and recent.find(connection, append.idempotency[0], since_us)
        if first:
            outcomes.append(_repeated(append, *first))
            continue
        *others, last = append.entries
        for slices in others:
            entries.add(slices)
        added = entries.add(last)
        if append.idempotency:
            connection.execute(sql["set_idempotency_key"], (*append.idempotency, *added[:2]))
        outcomes.append(added)
    entries.insert(connection, sql)
    return outcomes


def _repeated(append: Append, digest: bytes, first: Appended) -> Appended | IdempotencyConflict:
    """The outcome of an append whose key was used before."""
    assert append.idempotency is not None
    key, wanted = append.idempotency
    if wanted == digest:
        return first
    return IdempotencyConflict(
        f"idempotency key {key!r} was used for a different request (entry {first.offset}); "
        "use a new key for a new request"
    )


def append_outbox(
    connection: apsw.Connection,
    sql: Statements,
    tail: Tail,
    now_us: int,
    parts: Sequence[OutboxSlice],
    after_us: int,
) -> Appended | None:
    """Append the parts that are new as one entry of the DERIVED lane, and remember their keys; in the
    caller's transaction."""
    last_keys: dict[Producer, int] = {}
    new: list[OutboxSlice] = []
    for part in parts:
        last = last_keys.get(part.producer)
        if last is None:
            last = connection.execute(sql["producer_key"], tuple(part.producer)).get
        if last is None or part.key > last:
            last_keys[part.producer] = part.key
            new.append(part)
    if not new:
        return None
    entries = NewEntries(Lane.DERIVED, tail, now_us)
    added = entries.add(merge_slices(part.slices for part in new), after_us)
    entries.insert(connection, sql)
    keys = [(*producer, key) for producer, key in last_keys.items()]
    connection.executemany(sql["set_producer_key"], keys)
    return added
