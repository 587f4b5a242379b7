"""Reading one lane across its segment files, while other processes append, rotate and remove."""

import json
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

import apsw

from dp3.log.ages import SegmentEnd, Tail, ends_of
from dp3.log.checksums import entry_checksum
from dp3.log.framing import body_of, unframe
from dp3.log.port import Entry, Head, Lane, LogSegment, Producer, Waiting
from dp3.log.sqlite.segments import SegmentFiles, SegmentMissing
from dp3.sqlite import DAMAGE, FormatError, raise_damage

T = TypeVar("T")

ATTEMPTS = 100
"""Removing a segment disturbs a reader once; one that is disturbed so often has a damaged directory."""


MOST_UNREADABLE = 100_000
"""So many entries are tried, one by one, to find the end of damage; that takes about a second."""


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
        self._sealed: dict[int, Tail] = {}
        """Ends of sealed segments, by first offset: they do not change."""
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
        return Head(tail.offset, tail.total, tail.order)

    def bytes_until(self, offset: int) -> int:
        """See `Log.bytes_until`. Entries that were removed count as one: none of them is a backlog."""
        return self.retrying(lambda: self._bytes_until(offset))

    def bytes_after(self, offset: int) -> int:
        """See `Log.bytes_after`."""
        return self.retrying(lambda: self._bytes_after(offset))

    def producer_keys(self) -> dict[Producer, int]:
        """See `Log.producer_keys`."""
        return self.retrying(self._producer_keys)

    def begin(self) -> int:
        """See `Log.begin`."""
        return self.segments()[0]

    def order_after(self, offset: int) -> int | None:
        """See `Log.order_after`."""
        found = self.retrying(lambda: self._next_after(offset))
        return found and found[0]

    def append_time_after(self, offset: int) -> int | None:
        """See `Log.append_time_after`."""
        found = self.retrying(lambda: self._next_after(offset))
        return found and found[1]

    def offsets_until(self, orders: Iterable[int]) -> dict[int, int]:
        """See `Log.bounds`."""
        return self.retrying(lambda: self._offsets_until(set(orders)))

    def waiting(self, offsets: Iterable[int]) -> dict[int, Waiting]:
        """See `Log.waiting`."""
        return self.retrying(lambda: self._waiting(set(offsets)))

    def offset_at(self, time_us: int) -> int | None:
        """See `Log.offset_at`."""
        return self.retrying(lambda: self._offset_at(time_us))

    def finished(self, before_us: int, now_us: int) -> list[LogSegment]:
        """See `Log.finished`."""
        return self.retrying(lambda: self._finished(before_us, now_us))

    def ends(self, now_us: int) -> list[SegmentEnd]:
        """The ages of all segments, oldest first. Raises `SegmentMissing`."""
        return ends_of(self._tails(), now_us)

    # -- inside --------------------------------------------------------------------------------------
    def _tails(self) -> list[Tail]:
        """The ends of all segments. Many are old and asked for at each append with a key, so no file is
        opened for what is known."""
        known = self._sealed
        tails = [known.get(first) or self.tail(first) for first in self.segments()]
        self._sealed = {tail.first: tail for tail in tails if tail.sealed}
        return tails

    def _read(self, after: int, max_bytes: int) -> list[Entry]:
        entries: list[Entry] = []
        first = self._containing(after + 1)
        if first > after + 1:
            entries.append(self._missing(after + 1, first - 1))
            after = first - 1
        while first and max_bytes > 0:
            connection = self._files.take(first)
            try:
                # In this order: if the segment is sealed by now, all of it is seen.
                following = self._following(first, connection)
                last = following - 1 if following else 0
                after, max_bytes = self._move(connection, entries, after, last, max_bytes)
            except BaseException as error:
                connection.close(True)
                if isinstance(error, DAMAGE):
                    raise_damage(self._files.path(first), error)
                raise
            self._files.give_back(first, connection)
            first = following
        return entries

    def _move(
        self, connection: apsw.Connection, entries: list[Entry], after: int, last: int, max_bytes: int
    ) -> tuple[int, int]:
        """Move the entries of a segment that follow `after` to `entries` until `max_bytes` are used up.
        Entries that are missing up to `last` (0: not known) are told of. Returns how far it came, and how
        many bytes are left."""
        rows = connection.execute(self._sql["entries_after"], (after,))
        try:
            for row in rows:
                if row[0] != after + 1:
                    entries.append(self._missing(after + 1, row[0] - 1))
                entries.append(self._entry(row))
                after = row[0]
                max_bytes -= entries[-1].size
                if max_bytes <= 0:
                    rows.close()
                    return after, max_bytes
        except apsw.CorruptError as error:
            readable = self._next_readable(connection, after, last)
            entries.append(self._missing(after + 1, readable - 1, f"unreadable: {error}"))
            return readable - 1, 0
        if after < last:
            entries.append(self._missing(after + 1, last))
        return max(after, last), max_bytes

    def _next_readable(self, connection: apsw.Connection, after: int, last: int) -> int:
        """The first offset that can be read above one that can not, or the one after the segment. Raises
        `FormatError` if there is none."""
        end = last or after + MOST_UNREADABLE
        for offset in range(after + 2, end + 1):
            with suppress(apsw.CorruptError):
                if connection.execute(self._sql["next_after"], (offset - 1,)).get is not None:
                    return offset
        if last:
            return last + 1
        raise FormatError(
            f"{connection.filename}: damaged above entry {after}; restore the directory, or accept the loss"
        )

    def _missing(self, first: int, last: int, why: str = "missing") -> Entry:
        """Stands for entries that are not there."""
        which = f"entry {last} is" if first == last else f"entries {first} to {last} are"
        return Entry(self._lane, last, 0, 0, {}, damage=f"{which} {why}")

    def _read_back(self, before: int, max_bytes: int) -> list[Entry]:
        entries: list[Entry] = []
        self.newest()
        firsts = self._firsts
        for first in reversed(firsts[: bisect_right(firsts, before - 1)]):
            with self._files.lent(first) as connection:
                rows = connection.execute(self._sql["entries_before"], (before,))
                for row in rows:
                    entries.append(self._entry(row))
                    max_bytes -= entries[-1].size
                    if max_bytes <= 0:
                        rows.close()
                        break
            if max_bytes <= 0:
                break
        return entries

    def _entry(self, row: tuple[Any, ...]) -> Entry:
        offset, order, append_time, latest, total, checksum, stored = row
        try:
            if entry_checksum(self._lane, offset, order, append_time, latest, total, stored) != checksum:
                raise ValueError("its bytes are not those that were written (checksum)")
            body = body_of(stored)
            return Entry(self._lane, offset, order, append_time, unframe(body), len(body))
        except ValueError as error:
            damage = f"entry {offset} is damaged: {error}"
            return Entry(self._lane, offset, order, append_time, {}, len(stored), damage=damage)

    def _finished(self, before_us: int, now_us: int) -> list[LogSegment]:
        finished = []
        for end in self.ends(now_us):
            if not end.sealed or end.ended_us is None or end.ended_us >= before_us:
                break
            if end.last >= end.first:
                begun = self._next_after(end.first - 1)
                finished.append(LogSegment(end.first, end.last, begun[1] if begun else 0, end.ended_us))
        return finished

    def _offset_at(self, time_us: int) -> int | None:
        for first in self.segments():
            with self._files.lent(first) as connection:
                tail = self._files.tail(connection)
                if tail.latest >= time_us:
                    low, high = first, tail.offset
                    while low < high:
                        middle = (low + high) // 2
                        if connection.execute(self._sql["latest_at"], (middle,)).get >= time_us:
                            high = middle
                        else:
                            low = middle + 1
                    return low
        return None

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

    def _offsets_until(self, orders: set[int]) -> dict[int, int]:
        """Mostly all orders are in the segment at the end."""
        found: dict[int, int] = {}
        for first in reversed(self.segments()):
            if not orders:
                break
            with self._files.lent(first) as connection:
                try:
                    found.update(connection.execute(self._sql["offsets_until"], (_listed(orders),)))
                except apsw.CorruptError:
                    return {order: self._offset_until(order) for order in orders | found.keys()}
            orders = orders - found.keys()
        return dict.fromkeys(orders, 0) | found

    def _offset_until(self, order: int) -> int:
        """The same of one order, in a lane of which a part can not be read."""
        low, high = 0, self.head().offset
        while low < high:
            middle = (low + high) // 2
            following = self._next_after(middle)
            if following is None or following[0] > order:
                high = middle
            else:
                low = middle + 1
        return low

    def _waiting(self, offsets: set[int]) -> dict[int, Waiting]:
        self.newest()
        by_segment: dict[int, set[int]] = {}
        for offset in offsets:
            by_segment.setdefault(self._containing(offset + 1), set()).add(offset)
        found: list[Any] = []
        for first, some in by_segment.items():
            with self._files.lent(first) as connection:
                try:
                    found += connection.execute(self._sql["waiting"], (_listed(some),)).fetchall()
                except apsw.CorruptError:
                    found += [(one, self._bytes_until(one), self.append_time_after(one)) for one in some]
        end = self.head().bytes
        return {offset: Waiting(end - passed, oldest) for offset, passed, oldest in found}

    def _next_after(self, offset: int) -> tuple[int, int] | None:
        """Order and append time of the first entry above an offset that can be read."""
        first, found = self._containing(offset + 1), None
        while first and found is None:
            with self._files.lent(first) as connection:
                following = self._following(first, connection)
                try:
                    found = connection.execute(self._sql["next_after"], (offset,)).get
                except apsw.CorruptError:
                    readable = self._next_readable(connection, offset, following - 1 if following else 0)
                    found = connection.execute(self._sql["next_after"], (readable - 1,)).get
            first = following
        return found

    def _producer_keys(self) -> dict[Producer, int]:
        with self._files.lent(self.newest()) as connection:
            rows = connection.execute(self._sql["producer_keys"]).fetchall()
        verified = map(self._files.verified, rows)
        return {Producer(partition, stream): key for partition, stream, key in verified}

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


def _listed(numbers: Iterable[int]) -> str:
    """A JSON list for `json_each`."""
    return json.dumps(sorted(numbers))


def _data_version(connection: apsw.Connection) -> int:
    version: int = connection.execute("PRAGMA data_version").get
    return version
