"""What an append writes: offsets, append times, idempotency keys and producer keys."""

from collections.abc import Mapping, Sequence

import apsw

from dp3.log.framing import frame, merge_slices
from dp3.log.idempotency import WINDOW_US, RecentKeys
from dp3.log.port import Append, Appended, IdempotencyConflict, Lane, OutboxSlice, Producer
from dp3.log.segment import Tail, sql


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

    def insert(self, connection: apsw.Connection) -> None:
        """Write them; the caller has a transaction."""
        connection.executemany(sql()["insert_entry"], self._rows)


class RequestAppender:
    """Appends requests to the MAIN lane in one transaction, each idempotency key once."""

    def __init__(self, connection: apsw.Connection, tail: Tail, now_us: int, recent: RecentKeys) -> None:
        self._connection = connection
        self._entries = NewEntries(Lane.MAIN, tail, now_us)
        self._recent = recent
        self._since_us = now_us - WINDOW_US

    def append(self, appends: Sequence[Append]) -> list[Appended | IdempotencyConflict]:
        """One outcome per append, in order."""
        if any(append.idempotency for append in appends):
            self._recent.load(self._since_us)
        outcomes = [self._append(append) for append in appends]
        self._entries.insert(self._connection)
        return outcomes

    def _append(self, append: Append) -> Appended | IdempotencyConflict:
        if append.idempotency is None:
            return self._add(append)
        key, digest = append.idempotency
        first = self._recent.find(self._connection, key, self._since_us)
        if first is None:
            added = self._add(append)
            row = (key, digest, added.offset, added.append_time)
            self._connection.execute(sql()["set_idempotency_key"], row)
            return added
        if first.digest != digest:
            return IdempotencyConflict(
                f"idempotency key {key!r} was used for a different request (entry {first.offset}); "
                "use a new key for a new request"
            )
        return Appended(first.offset, first.append_time, repeated=True)

    def _add(self, append: Append) -> Appended:
        """All entries of a request; returns the last one."""
        *others, last = append.entries
        for slices in others:
            self._entries.add(slices)
        return self._entries.add(last)


def append_outbox(
    connection: apsw.Connection, tail: Tail, now_us: int, parts: Sequence[OutboxSlice], after_us: int
) -> Appended | None:
    """Append the parts that are new as one entry of the DERIVED lane, and remember their keys."""
    last_keys: dict[Producer, int] = {}
    new = [part for part in parts if _is_new(connection, part, last_keys)]
    if not new:
        return None
    entries = NewEntries(Lane.DERIVED, tail, now_us)
    added = entries.add(merge_slices(part.slices for part in new), after_us)
    entries.insert(connection)
    connection.executemany(
        sql()["set_producer_key"], [(*producer, key) for producer, key in last_keys.items()]
    )
    return added


def _is_new(connection: apsw.Connection, part: OutboxSlice, last_keys: dict[Producer, int]) -> bool:
    """Whether the part's key is above the last of its producer, which it then becomes."""
    last = last_keys.get(part.producer)
    if last is None:
        last = connection.execute(sql()["producer_key"], tuple(part.producer)).get
    if last is not None and part.key <= last:
        return False
    last_keys[part.producer] = part.key
    return True
