"""Reading one lane across its segment files, while other processes append, rotate and remove."""

import threading
from bisect import bisect_right
from collections.abc import Callable
from typing import TypeVar

import apsw

from dp3.log.framing import unframe
from dp3.log.port import Entry, Head, Lane, LogSegment
from dp3.log.sqlite.segments import SegmentFiles, SegmentMissing, Tail
from dp3.sqlite import DAMAGE, FormatError, raise_damage

T = TypeVar("T")

ATTEMPTS = 100
"""Removing a segment disturbs a reader once; one that is disturbed so often has a damaged directory."""


class LaneReader:
    """The lane as this process sees it. All methods may be called from any thread.

    A segment is sealed in the transaction that ends it, and its successor is named after the next offset.
    So the successor is found from the segment itself; the directory is listed only when a file is gone.
    """

    def __init__(self, lane: Lane, files: SegmentFiles) -> None:
        self._lane = lane
        self._files = files
        self._sql = files.sql
        self._mutex = threading.Lock()
        self._firsts: tuple[int, ...] = ()
        self.rescan()

    # -- segments ------------------------------------------------------------------------------------
    def rescan(self) -> None:
        """Look again which segments there are."""
        with self._mutex:
            firsts = self._files.firsts()
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
        with self._files.lent(first) as connection:
            return self._files.tail(connection)

    # -- the reading half of the port ------------------------------------------------------------------
    def read(self, after: int, max_bytes: int) -> list[Entry]:
        """See `Log.read`."""
        return self.retrying(lambda: self._read(after, max_bytes))

    def read_back(self, before: int | None, max_bytes: int) -> list[Entry]:
        """See `Log.read_back`."""
        end = (1 << 63) - 1 if before is None else before
        return self.retrying(lambda: self._read_back(end, max_bytes))

    def head(self) -> Head:
        """See `Log.head`."""
        tail = self.retrying(lambda: self.tail(self.newest()))
        return Head(tail.offset, tail.total)

    def bytes_until(self, offset: int) -> int:
        """See `Log.bytes_until`. Entries that were removed count as one: none of them is a backlog."""
        return self.retrying(lambda: self._bytes_until(offset))

    def bytes_after(self, offset: int) -> int:
        """See `Log.bytes_after`."""
        return self.retrying(lambda: self._bytes_after(offset))

    def append_time_after(self, offset: int) -> int | None:
        """See `Log.append_time_after`."""
        return self.retrying(lambda: self._append_time_after(offset))

    def finished(self, before_us: int) -> list[LogSegment]:
        """See `Log.finished`."""
        return self.retrying(lambda: self._finished(before_us))

    # -- inside --------------------------------------------------------------------------------------
    def _read(self, after: int, max_bytes: int) -> list[Entry]:
        entries: list[Entry] = []
        first = self._containing(after + 1)
        while first and max_bytes > 0:
            connection = self._files.take(first)
            try:
                # In this order: if the segment is sealed by now, all of it is seen.
                following = self._following(first, connection)
                rows = connection.execute(self._sql["entries_after"], (after,))
                max_bytes = self._move(rows, entries, max_bytes)
            except BaseException as error:
                connection.close(True)
                if isinstance(error, DAMAGE):
                    raise_damage(self._files.path(first), error)
                raise
            self._files.give_back(first, connection)
            first = following
        return entries

    def _read_back(self, before: int, max_bytes: int) -> list[Entry]:
        entries: list[Entry] = []
        self.newest()
        firsts = self._firsts
        for first in reversed(firsts[: bisect_right(firsts, before - 1)]):
            with self._files.lent(first) as connection:
                rows = connection.execute(self._sql["entries_before"], (before,))
                max_bytes = self._move(rows, entries, max_bytes)
            if max_bytes <= 0:
                break
        return entries

    def _move(self, rows: apsw.Cursor, entries: list[Entry], max_bytes: int) -> int:
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

    def _finished(self, before_us: int) -> list[LogSegment]:
        finished = []
        for first in self.segments()[:-1]:
            tail = self.tail(first)
            if tail.append_time >= before_us:
                break
            if tail.offset >= first:
                begun = self._append_time_after(first - 1)
                finished.append(LogSegment(first, tail.offset, begun or tail.append_time, tail.append_time))
        return finished

    def _bytes_until(self, offset: int) -> int:
        self.newest()
        with self._files.lent(self._containing(offset)) as connection:
            total: int = connection.execute(self._sql["total_until"], (offset,)).get
            return total

    def _bytes_after(self, offset: int) -> int:
        first = self._containing(offset)
        if first == self._firsts[-1]:  # as nearly always
            with self._files.lent(first) as connection:
                sealed, *_, total = connection.execute(self._sql["tail"]).get
                if not sealed:
                    passed: int = connection.execute(self._sql["total_until"], (offset,)).get
                    return int(total) - passed
        return self.head().bytes - self._bytes_until(offset)

    def _append_time_after(self, offset: int) -> int | None:
        first, found = self._containing(offset + 1), None
        while first and found is None:
            with self._files.lent(first) as connection:
                following = self._following(first, connection)
                found = connection.execute(self._sql["append_time_after"], (offset,)).get
            first = following
        return found

    def _newest(self) -> int:
        newest = self._firsts[-1] if self._firsts else 0
        while newest:
            with self._files.lent(newest) as connection:
                following = self._following(newest, connection)
            if not following:
                break
            newest = following
        return newest

    def _containing(self, offset: int) -> int:
        """The segment with that offset, or the nearest there is."""
        firsts = self._firsts
        if not firsts:
            raise FormatError(
                f"{self._files.directory}: the lane has lost its segments; restore the directory"
            )
        return firsts[max(bisect_right(firsts, offset) - 1, 0)]

    def _following(self, first: int, connection: apsw.Connection) -> int:
        """The segment after `first`, to which the connection is; 0 if it is the last."""
        firsts = self._firsts
        index = bisect_right(firsts, first)
        if index < len(firsts):
            return firsts[index]
        sealed, end = connection.execute(self._sql["end"]).get
        if not (sealed and self._is_there(end + 1)):
            return 0
        with self._mutex:
            if self._firsts and self._firsts[-1] <= end:
                self._firsts = (*self._firsts, end + 1)
        return int(end) + 1

    def _is_there(self, first: int) -> bool:
        try:
            with self._files.lent(first):
                return True
        except SegmentMissing:
            return False


class LaneVersion:
    """A token that changes with every append to the lane, for a few µs."""

    def __init__(self, reader: LaneReader, files: SegmentFiles) -> None:
        self._reader = reader
        self._files = files
        self._mutex = threading.Lock()
        self._connection: apsw.Connection | None = None
        self._first = self._seen = 0
        self._sealed = False

    def get(self) -> tuple[int, int]:
        """First offset of the segment at the end and the version of its data."""
        with self._mutex:
            connection = self._connection
            try:
                if connection is None or self._sealed or _data_version(connection) != self._seen:
                    self._reader.retrying(self._catch_up)
            except DAMAGE as error:
                raise_damage(self._files.path(self._first), error)
            return self._first, self._seen

    def close(self) -> None:
        """Give back the connection."""
        with self._mutex:
            self._release()

    def _catch_up(self) -> None:
        newest = self._reader.newest()
        connection = self._connection
        if newest != self._first or connection is None:
            self._release()
            self._connection = connection = self._files.open(newest)
            self._first = newest
        self._seen = _data_version(connection)
        self._sealed = self._files.tail(connection).sealed

    def _release(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def _data_version(connection: apsw.Connection) -> int:
    version: int = connection.execute("PRAGMA data_version").get
    return version
