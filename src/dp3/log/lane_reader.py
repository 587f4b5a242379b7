"""Reading one lane across its segment files, while other processes append, rotate and remove."""

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import TypeVar

import apsw

from dp3.log.framing import unframe
from dp3.log.port import Entry, Head, Lane, Segment
from dp3.log.segment import SegmentMissing, Tail, sql, tail_of
from dp3.log.segment_pool import SegmentPool
from dp3.sqlite import FormatError

T = TypeVar("T")

ATTEMPTS = 100
"""Removing a segment disturbs a reader once; one that is disturbed so often has a damaged directory."""


class LaneReader:
    """The lane as this process sees it. All methods may be called from any thread.

    A segment is sealed in the transaction that ends it, and its successor is named after the next offset.
    So the successor is found from the segment itself; the directory is listed only when a file is gone.
    """

    def __init__(self, lane: Lane, pool: SegmentPool) -> None:
        self._lane = lane
        self._pool = pool
        self._mutex = threading.Lock()
        self._firsts: tuple[int, ...] = ()
        self.rescan()

    # -- segments ------------------------------------------------------------------------------------
    def rescan(self) -> None:
        """Look again which segments there are."""
        with self._mutex:
            firsts = self._pool.firsts()
            while firsts and not self._is_there(firsts[-1]):
                firsts.pop()
            self._firsts = tuple(firsts)

    def segments(self) -> tuple[int, ...]:
        """The first offsets of all segments, oldest first."""
        self.newest()
        return self._firsts

    def newest(self) -> int:
        """The first offset of the segment at the end (0 if there is none)."""
        return self.retrying(self._newest)

    def retrying(self, operation: Callable[[], T]) -> T:
        """Another process may remove a segment at any moment; then look again and repeat. Raises
        `FormatError` when a segment that ought to be there stays away."""
        for _ in range(ATTEMPTS):
            try:
                return operation()
            except SegmentMissing as error:
                missing = str(error)
                self.rescan()
        raise FormatError(f"{missing}: this segment of the log cannot be used; restore the directory")

    def tail(self, first: int) -> Tail:
        """The end of a segment. Raises `SegmentMissing`."""
        with self._pool.connection(first) as connection:
            return tail_of(connection)

    # -- the reading half of the port ------------------------------------------------------------------
    def read(self, after: int, max_bytes: int) -> list[Entry]:
        """See `Log.read`."""
        return self.retrying(lambda: self._read(self._forward(after), "entries_after", after, max_bytes))

    def read_back(self, before: int | None, max_bytes: int) -> list[Entry]:
        """See `Log.read_back`."""
        end = (1 << 63) - 1 if before is None else before
        return self.retrying(lambda: self._read(self._backward(end), "entries_before", end, max_bytes))

    def head(self) -> Head:
        """See `Log.head`."""
        tail = self.retrying(lambda: self.tail(self.newest()))
        return Head(tail.offset, tail.total)

    def bytes_until(self, offset: int) -> int:
        """See `Log.bytes_until`. Entries that were removed count as one: none of them is a backlog."""
        return self.retrying(lambda: self._bytes_until(offset))

    def append_time_after(self, offset: int) -> int | None:
        """See `Log.append_time_after`."""
        return self.retrying(lambda: self._append_time_after(offset))

    def finished(self, before_us: int) -> list[Segment]:
        """See `Log.finished`."""
        return self.retrying(lambda: self._finished(before_us))

    # -- inside --------------------------------------------------------------------------------------
    def _finished(self, before_us: int) -> list[Segment]:
        finished = []
        for first in self.segments()[:-1]:
            tail = self.tail(first)
            if tail.append_time >= before_us:
                break
            if tail.offset >= first:
                begun = self._append_time_after(first - 1)
                finished.append(Segment(first, tail.offset, begun or tail.append_time, tail.append_time))
        return finished

    def _newest(self) -> int:
        newest = self._firsts[-1] if self._firsts else 0
        while following := self._following(newest):
            newest = following
        return newest

    def _read(self, segments: Iterator[int], statement: str, bound: int, max_bytes: int) -> list[Entry]:
        entries: list[Entry] = []
        for first in segments:
            with self._pool.connection(first) as connection:
                rows = connection.execute(sql()[statement], (bound,))
                max_bytes = self._take(rows, entries, max_bytes)
            if max_bytes <= 0:
                break
        return entries

    def _take(self, rows: apsw.Cursor, entries: list[Entry], max_bytes: int) -> int:
        """Move rows to `entries` until `max_bytes` are used up; returns how many are left."""
        for offset, append_time, body in rows:
            entries.append(self._entry(offset, append_time, body))
            max_bytes -= len(body)
            if max_bytes <= 0:
                rows.close()
                break
        return max_bytes

    def _entry(self, offset: int, append_time: int, body: bytes) -> Entry:
        try:
            return Entry(self._lane, offset, append_time, unframe(body), len(body))
        except ValueError as error:
            return Entry(self._lane, offset, append_time, {}, len(body), damage=str(error))

    def _bytes_until(self, offset: int) -> int:
        self.newest()
        with self._pool.connection(self._containing(offset)) as connection:
            total: int = connection.execute(sql()["total_until"], (offset,)).get
            return total

    def _append_time_after(self, offset: int) -> int | None:
        for first in self._forward(offset):
            with self._pool.connection(first) as connection:
                found: int | None = connection.execute(sql()["append_time_after"], (offset,)).get
            if found is not None:
                return found
        return None

    def _forward(self, after: int) -> Iterator[int]:
        """Segments from the one with the first entry above `after` to the end. The successor is asked for
        before the segment is read: if it is sealed by then, the reader sees all of it."""
        first = self._containing(after + 1)
        while first:
            following = self._following(first)
            yield first
            first = following

    def _backward(self, before: int) -> Iterator[int]:
        self.newest()
        firsts = self._firsts
        yield from reversed(firsts[: bisect_right(firsts, before - 1)])

    def _containing(self, offset: int) -> int:
        """The segment with that offset, or the nearest there is."""
        firsts = self._firsts
        if not firsts:
            raise FormatError(
                f"{self._pool.path(1).parent}: the lane has lost its segments; restore the directory"
            )
        return firsts[max(bisect_right(firsts, offset) - 1, 0)]

    def _following(self, first: int) -> int:
        """The segment after `first`, 0 if it is the last."""
        firsts = self._firsts
        index = bisect_right(firsts, first)
        if index < len(firsts):
            return firsts[index]
        if not first:
            return 0
        tail = self.tail(first)
        if not (tail.sealed and self._is_there(tail.offset + 1)):
            return 0
        with self._mutex:
            if self._firsts and self._firsts[-1] < tail.offset + 1:
                self._firsts = (*self._firsts, tail.offset + 1)
        return tail.offset + 1

    def _is_there(self, first: int) -> bool:
        try:
            with self._pool.connection(first):
                return True
        except SegmentMissing:
            return False
