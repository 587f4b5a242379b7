"""The log in tables of a PostgreSQL server."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from psycopg import Connection, Cursor, Error
from psycopg.errors import UniqueViolation

from dp3.clock import Clock
from dp3.clock_watch import ClockWatch
from dp3.log.ages import Rotation, SegmentEnd, Tail, ends_of, recent_since
from dp3.log.answers import repeated
from dp3.log.framing import body_of, merge_slices, unframe
from dp3.log.port import (
    IDEMPOTENCY_WINDOW_US,
    Append,
    Appended,
    Entry,
    Head,
    IdempotencyConflict,
    Lane,
    Log,
    LogFull,
    LogSegment,
    LogUnavailable,
    LogUncertain,
    OutboxSlice,
    Producer,
    Waiting,
)
from dp3.log.postgres.appending import NewEntries
from dp3.postgres import MOST_CONNECTIONS, Part, Pool, bring_up, in_one_line, is_of_disk, open_pool, passes
from dp3.postgres.arrays import column
from dp3.postgres.transactions import Conversation, Unknown, begun, commit, pipelined, read
from dp3.statements import load_statements

__all__ = ["open_log"]

T = TypeVar("T")

ATTEMPTS = 20
"""An append begins anew when another process has just taken the key of one of its requests."""

LAST_OFFSET = (1 << 63) - 1

_ARRAY = re.compile(r"%s::(\w+)\[\]")
"""The columns of statements for several rows."""

_Connection = Connection[tuple[Any, ...]]


def open_log(
    url: str,
    schema: str,
    clock: Clock,
    *,
    segment_bytes: int = 128 << 20,
    segment_age_s: float = 86_400.0,
    connections: int = MOST_CONNECTIONS,
) -> Log:
    """The log in the schema named `schema` of the database `url`, made if it is missing; any number of
    processes may open it, each with at most so many `connections`. Raises `FormatError` for a log of a newer
    version. The rest is as in `dp3.log.sqlite.open_log`."""
    sql = load_statements("dp3.log.postgres", "log.sql")
    bring_up(url, schema, Part("log", lambda connection: connection.execute(sql["schema"].encode())))
    rotation = Rotation(segment_bytes, round(segment_age_s * 1_000_000))
    return PostgresLog(open_pool(url, schema, connections), clock, rotation)


class PostgresLog:
    """See `dp3.log.port.Log`; made by `open_log`. Who appends locks the end of the lane as late as possible:
    all of them wait for each other from there to the end of the transaction."""

    def __init__(self, pool: Pool, clock: Clock, rotation: Rotation) -> None:
        self._pool = pool
        self._clock = clock
        self._rotation = rotation
        self._watch = ClockWatch(clock)
        self._trusted_us = 0
        statements = load_statements("dp3.log.postgres", "log.sql")
        self._sql = {
            lane: {
                name: text.replace("{lane}", f"log_{lane.name.lower()}") for name, text in statements.items()
            }
            for lane in Lane
        }
        for lane in Lane:
            self._begin(lane)

    def _begin(self, lane: Lane) -> None:
        now = self._clock.now_us()
        with self._refusals():
            read(self._pool, lambda conversation: self._run(conversation, lane, "begin_lane", now=now))

    # -- appending -----------------------------------------------------------------------------------------
    def append(self, appends: Sequence[Append]) -> list[Appended | IdempotencyConflict]:
        """See `Log.append`."""
        for _ in range(ATTEMPTS):
            try:
                return self._committed(lambda conversation: self._append(conversation, appends))
            except UniqueViolation as error:
                refused = error
        raise LogUnavailable(
            f"the keys of requests could not be kept ({refused}); nothing was added, try again"
        )

    def append_outbox(self, parts: Sequence[OutboxSlice], after: int) -> Appended | None:
        """See `Log.append_outbox`."""
        return self._committed(lambda conversation: self._append_outbox(conversation, parts, after))

    def _committed(self, work: Callable[[Conversation], tuple[T, NewEntries | None]]) -> T:
        """Do something in a transaction, which tells what it has added. Where the connection is lost while
        that ends, its end is found out."""
        with self._refusals(), begun(self._pool) as connection, pipelined(connection) as conversation:
            result, added = work(conversation)
            commit(self._pool, conversation, partial(self._has_happened, added))
            return result

    def _has_happened(self, added: NewEntries | None, conversation: Conversation) -> bool:
        """Whether entries were added; the end of their lane is locked as long as they may be still. To do
        something else again changes nothing."""
        if added is None or not added.rows:
            return False
        self._one(conversation, added.lane, "locked_end")
        offset, _, append_time, *_, body = added.rows[-1]
        values = {"offset": offset, "append_time": append_time, "body": body}
        return self._one(conversation, added.lane, "has_entry", **values) is not None

    def _append(
        self, conversation: Conversation, appends: Sequence[Append]
    ) -> tuple[list[Appended | IdempotencyConflict], NewEntries]:
        known = self._known_requests(conversation, [one.idempotency[0] for one in appends if one.idempotency])
        entries = self._end(conversation, Lane.MAIN, 0)
        outcomes: list[Appended | IdempotencyConflict] = []
        requests: list[tuple[Any, ...]] = []
        for append in appends:
            if append.idempotency and (first := known.get(append.idempotency[0])):
                outcomes.append(repeated(append, *first))
                continue
            for slices in append.entries:
                added = entries.add(slices)
            if append.idempotency:
                key, digest = append.idempotency
                known[key] = digest, added._replace(repeated=True)
                requests.append((key, digest, *added[:2], entries.latest, entries.first))
            outcomes.append(added)
        self._write(conversation, entries)
        if requests:
            self._bulk(conversation, Lane.MAIN, "add_requests", requests)
        return outcomes, entries

    def _append_outbox(
        self, conversation: Conversation, parts: Sequence[OutboxSlice], after: int
    ) -> tuple[Appended | None, NewEntries | None]:
        if not parts:
            return None, None
        entries = self._end(conversation, Lane.DERIVED, after)
        producers = sorted({part.producer for part in parts})
        found = self._bulk(conversation, Lane.DERIVED, "keys_of_producers", producers)
        last = {Producer(partition, stream): key for partition, stream, key in conversation.rows(found)}
        new: list[OutboxSlice] = []
        for part in parts:
            if part.producer not in last or part.key > last[part.producer]:
                last[part.producer] = part.key
                new.append(part)
        if not new:
            return None, None
        added = entries.add(merge_slices(part.slices for part in new))
        self._write(conversation, entries)
        keys = [(*producer, last[producer]) for producer in sorted({part.producer for part in new})]
        self._bulk(conversation, Lane.DERIVED, "put_producer_keys", keys)
        return added, entries

    def _end(self, conversation: Conversation, lane: Lane, after: int) -> NewEntries:
        """The end of a lane, which nobody else moves until the transaction ends; above everything that is in
        the log, and above an order."""
        (other,) = (one for one in Lane if one is not lane)
        end_of_other = self._ask(conversation, other, "end")
        found = None
        while found is None:  # the segment was sealed while it was waited for
            found = self._one(conversation, lane, "locked_end")
        seen = max(Tail(*row).order for row in end_of_other)
        tail, now = Tail(*found), self._clock.now_us()
        if self._rotation.is_due(tail, now):
            self._run(conversation, lane, "seal", first=tail.first)
            tail = self._following(conversation, lane, tail, now)
        return NewEntries(lane, tail, now, max(seen, after))

    def _following(self, conversation: Conversation, lane: Lane, end: Tail, now: int) -> Tail:
        """A segment after one that was sealed."""
        first = end.offset + 1
        values = {
            "first": first,
            "created": now,
            "total": end.total,
            "offset": end.offset,
            "order": end.order,
        }
        self._run(conversation, lane, "add_segment", **values)
        return Tail(first, False, now, end.total, end.offset, end.order, 0, end.total)

    def _write(self, conversation: Conversation, entries: NewEntries) -> None:
        if entries.rows:
            self._bulk(conversation, entries.lane, "add_entries", entries.rows)
            self._run(conversation, entries.lane, "move_end", **entries.end())

    def _known_requests(
        self, conversation: Conversation, keys: Sequence[str]
    ) -> dict[str, tuple[bytes, Appended]]:
        """The requests of the last 24 hours with some keys; older ones are forgotten."""
        if not keys:
            return {}
        since = recent_since(self._ends(conversation, Lane.MAIN), self._since_us())
        known: dict[str, tuple[bytes, Appended]] = {}
        old: list[tuple[str, int]] = []
        for row in self._all(conversation, Lane.MAIN, "requests", keys=list(keys)):
            key, digest, offset, append_time, latest, segment = row
            if latest >= since.get(segment, LAST_OFFSET):
                known[key] = digest, Appended(offset, append_time, repeated=True)
            else:
                old.append((key, offset))
        if old:
            keys_, offsets = zip(*old, strict=True)
            self._run(conversation, Lane.MAIN, "forget_requests", keys=list(keys_), offsets=list(offsets))
        return known

    def _since_us(self) -> int:
        """A clock that may be ahead forgets nothing."""
        since_us = self._clock.now_us() - IDEMPOTENCY_WINDOW_US
        if self._watch.is_trusted:
            self._trusted_us = since_us
        return min(since_us, self._trusted_us)

    # -- reading -------------------------------------------------------------------------------------------
    def producer_keys(self) -> dict[Producer, int]:
        """See `Log.producer_keys`."""
        rows = self._rows(Lane.DERIVED, "producer_keys")
        return {Producer(partition, stream): key for partition, stream, key in rows}

    def read(self, lane: Lane, after: int, max_bytes: int) -> list[Entry]:
        """See `Log.read`."""
        entries: list[Entry] = []
        while max_bytes > 0:
            rows = self._rows(lane, "entries_after", after=after, bytes=max_bytes)
            if not rows:
                begin = Tail(*self._rows(lane, "end")[0]).first
                if begin <= after + 1:
                    break
                # All entries before the segment can be seen by now, if there are any.
                rows = self._rows(lane, "entries_after", after=after, bytes=max_bytes)
                if not rows:
                    entries.append(_missing(lane, after + 1, begin - 1))
                    after = begin - 1
            for row in rows:
                if row[0] != after + 1:
                    entries.append(_missing(lane, after + 1, row[0] - 1))
                after = row[0]
                entries.append(_entry(lane, *row))
                max_bytes -= entries[-1].size
                if max_bytes <= 0:
                    break
        return entries

    def read_back(self, lane: Lane, before: int | None, max_bytes: int) -> list[Entry]:
        """See `Log.read_back`."""
        entries: list[Entry] = []
        end = LAST_OFFSET if before is None else before
        while max_bytes > 0 and (rows := self._rows(lane, "entries_before", before=end, bytes=max_bytes)):
            for row in rows:
                end = row[0]
                entries.append(_entry(lane, *row))
                max_bytes -= entries[-1].size
                if max_bytes <= 0:
                    break
        return entries

    def head(self, lane: Lane) -> Head:
        """See `Log.head`."""
        tail = Tail(*self._rows(lane, "end")[0])
        return Head(tail.offset, tail.total, tail.order)

    def bytes_until(self, lane: Lane, offset: int) -> int:
        """See `Log.bytes_until`."""
        ((_, total),) = self._rows(lane, "totals_until", offsets=[offset])
        return int(total)

    def bytes_after(self, lane: Lane, offset: int) -> int:
        """See `Log.bytes_after`."""
        return self.waiting(lane, [offset])[offset].bytes

    def begin(self, lane: Lane) -> int:
        """See `Log.begin`."""
        return Tail(*self._rows(lane, "segments")[0]).first

    def resume_after(self, lane: Lane, offset: int, order: int) -> None:
        """See `Log.resume_after`."""

        def resumed(conversation: Conversation) -> tuple[None, None]:
            tail = Tail(*self._one(conversation, lane, "locked_end"))
            if tail.offset < offset or tail.order < order:
                self._run(conversation, lane, "seal", first=tail.first)
                end = tail._replace(offset=max(offset, tail.offset), order=max(order, tail.order))
                self._following(conversation, lane, end, self._clock.now_us())
            return None, None

        self._committed(resumed)

    def order_after(self, lane: Lane, offset: int) -> int | None:
        """See `Log.order_after`."""
        rows = self._rows(lane, "next_after", after=offset)
        return rows[0][0] if rows else None

    def append_time_after(self, lane: Lane, offset: int) -> int | None:
        """See `Log.append_time_after`."""
        rows = self._rows(lane, "next_after", after=offset)
        return rows[0][1] if rows else None

    def bounds(self, orders: Collection[int]) -> dict[int, tuple[int, int]]:
        """See `Log.bounds`."""
        wanted = list(orders)
        main, derived = (dict(self._rows(lane, "offsets_until", orders=wanted)) for lane in Lane)
        return {order: (main[order], derived[order]) for order in wanted}

    def waiting(self, lane: Lane, offsets: Collection[int]) -> dict[int, Waiting]:
        """See `Log.waiting`."""
        rows = self._rows(lane, "waiting", offsets=list(offsets))
        end = self.head(lane).bytes
        return {offset: Waiting(end - total, oldest) for offset, total, oldest in rows}

    def offset_at(self, lane: Lane, time_us: int) -> int | None:
        """See `Log.offset_at`."""
        for row in self._rows(lane, "segments"):
            tail = Tail(*row)
            if tail.latest >= time_us and tail.offset >= tail.first:
                low, high = tail.first, tail.offset
                while low < high:
                    middle = (low + high) // 2
                    if self._rows(lane, "latest_at", offset=middle)[0][0] >= time_us:
                        high = middle
                    else:
                        low = middle + 1
                return low
        return None

    def version(self) -> tuple[int, ...]:
        """See `Log.version`."""
        return tuple(offset for (offset,) in self._rows(Lane.MAIN, "heads"))

    # -- segments ------------------------------------------------------------------------------------------
    def finished(self, lane: Lane, before_us: int) -> list[LogSegment]:
        """See `Log.finished`."""
        found: list[LogSegment] = []
        with self._refusals(), self._pool.connection() as connection:
            conversation = Conversation(connection)
            for end in self._ends(conversation, lane):
                if not end.sealed or end.ended_us is None or end.ended_us >= before_us:
                    break
                if end.last >= end.first:
                    begun = self._one(conversation, lane, "next_after", after=end.first - 1)
                    found.append(LogSegment(end.first, end.last, begun[1] if begun else 0, end.ended_us))
        return found

    def remove_before(self, lane: Lane, offset: int) -> int:
        """See `Log.remove_before`."""
        ended = self.finished(lane, self._clock.now_us() - IDEMPOTENCY_WINDOW_US)
        gone = [segment for segment in ended if segment.last < offset]
        for segment in gone:
            self._committed(partial(self._remove, lane, segment))
        return len(gone)

    def _remove(self, lane: Lane, segment: LogSegment, conversation: Conversation) -> tuple[None, None]:
        self._run(conversation, lane, "remove_segment", first=segment.first)
        self._run(conversation, lane, "remove_entries", first=segment.first, last=segment.last)
        if lane is Lane.MAIN:
            self._run(conversation, lane, "remove_requests", first=segment.first)
        return None, None

    def _ends(self, conversation: Conversation, lane: Lane) -> list[SegmentEnd]:
        tails = [Tail(*row) for row in self._all(conversation, lane, "segments")]
        return ends_of(tails, self._clock.now_us())

    def disk_bytes(self, lane: Lane) -> int:
        """See `Log.disk_bytes`."""
        return int(self._rows(lane, "disk_bytes")[0][0])

    def close(self) -> None:
        """See `Log.close`. Closing twice is allowed."""
        self._pool.close()

    # -- statements ----------------------------------------------------------------------------------------
    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """Raise what the port calls the errors of the server in the block."""
        if self._pool.closed:
            raise RuntimeError("the log is closed")
        try:
            yield
        except Unknown as unknown:
            raise LogUncertain(
                f"the server of the log does not answer ({unknown}); what was sent may be stored or not"
            ) from unknown
        except Error as error:
            reason = in_one_line(error)
            if is_of_disk(error):
                raise LogFull(f"the server's disk refused an append ({reason}); nothing was added") from error
            if passes(error):
                raise LogUnavailable(
                    f"the server of the log does not answer ({reason}); nothing was added"
                ) from error
            raise

    def _rows(self, lane: Lane, name: str, **values: Any) -> list[Any]:
        with self._refusals():
            return read(self._pool, lambda conversation: self._all(conversation, lane, name, **values))

    def _ask(
        self, conversation: Conversation, lane: Lane, name: str, **values: Any
    ) -> Cursor[tuple[Any, ...]]:
        return conversation.execute(self._sql[lane][name], {"lane": int(lane), **values})

    def _all(self, conversation: Conversation, lane: Lane, name: str, **values: Any) -> list[Any]:
        return conversation.rows(self._ask(conversation, lane, name, **values))

    def _one(self, conversation: Conversation, lane: Lane, name: str, **values: Any) -> Any:
        rows = self._all(conversation, lane, name, **values)
        return rows[0] if rows else None

    def _run(self, conversation: Conversation, lane: Lane, name: str, **values: Any) -> None:
        self._ask(conversation, lane, name, **values)

    def _bulk(
        self, conversation: Conversation, lane: Lane, name: str, rows: Sequence[Sequence[Any]]
    ) -> Cursor[tuple[Any, ...]]:
        sql = self._sql[lane][name]
        columns = map(column, _ARRAY.findall(sql), zip(*rows, strict=True))
        return conversation.execute(sql, list(columns))


def _entry(lane: Lane, offset: int, order: int, append_time: int, stored: bytes) -> Entry:
    try:
        body = body_of(stored)
        return Entry(lane, offset, order, append_time, unframe(body), len(body))
    except ValueError as error:
        damage = f"entry {offset} is damaged: {error}"
        return Entry(lane, offset, order, append_time, {}, len(stored), damage=damage)


def _missing(lane: Lane, first: int, last: int) -> Entry:
    """Stands for entries that are not there."""
    which = f"entry {last} is" if first == last else f"entries {first} to {last} are"
    return Entry(lane, last, 0, 0, {}, damage=f"{which} missing")
