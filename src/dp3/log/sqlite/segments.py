"""The files of one lane: each log segment is a SQLite database that holds a part of the lane."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import apsw

from dp3.files import make_directory
from dp3.sqlite import (
    DAMAGE,
    Statements,
    check_format,
    connect,
    load_statements,
    raise_damage,
    stamp_format,
    transaction,
)

APPLICATION_ID = 0x4450334C
"""`DP3L` in ASCII."""

FORMAT = 1

PAGE_SIZE = 8192
"""Measured with entries of 200 bytes and of 150 kB: smaller pages make large entries slower, larger ones
make the WAL of small commits grow fast."""

MAX_IDLE = 8
"""Connections kept per lane: one for each of a few readers at the end, and some older segments."""


class SegmentMissing(Exception):
    """There is no such segment: removed, or not (completely) made yet."""


class Tail(NamedTuple):
    """The end of a segment. `offset`, `append_time` and `total` are those of the last entry of the lane up
    to here; `base_total` is the total before the segment; `created` is in µs."""

    sealed: bool
    created: int
    base_total: int
    offset: int
    append_time: int
    total: int

    @property
    def size(self) -> int:
        """Bytes of the bodies in the segment."""
        return self.total - self.base_total


LANE_START = Tail(sealed=True, created=0, base_total=0, offset=0, append_time=0, total=0)
"""The end of the lane before its first segment."""


class SegmentFiles:
    """The segments of one lane, each named after its first offset. Connections for reading are lent to any
    number of threads and kept for the next reader."""

    def __init__(self, directory: Path) -> None:
        """The directory is made if it is missing."""
        make_directory(directory)
        self.directory = directory
        self.sql: Statements = load_statements("dp3.log.sqlite", "segments.sql")
        self._mutex = threading.Lock()
        self._idle: list[tuple[int, apsw.Connection]] = []
        self._closed = False

    # -- files ---------------------------------------------------------------------------------------
    def path(self, first: int) -> Path:
        """The file of the segment whose first offset is `first`."""
        return self.directory / f"{first:020d}.seg"

    def firsts(self) -> list[int]:
        """The first offsets of the segment files that are there, oldest first."""
        return sorted(int(path.stem) for path in self.directory.glob("*.seg"))

    def remove_orphans(self) -> None:
        """Delete what SQLite kept beside segments that are gone: their removal was interrupted."""
        present = {path.name for path in self.directory.glob("*.seg")}
        for path in self.directory.glob("*.seg-*"):
            if path.name.rpartition("-")[0] not in present:
                path.unlink(missing_ok=True)

    def remove(self, first: int) -> None:
        """Delete a segment, and what SQLite keeps beside it."""
        self.forget(first)
        path = self.path(first)
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)

    # -- connections ---------------------------------------------------------------------------------
    def open(self, first: int) -> apsw.Connection:
        """A new connection to an existing segment, for the caller to close. Raises `SegmentMissing`, or
        `FormatError` for a file of another program."""
        path = self.path(first)
        if not path.exists():
            raise SegmentMissing(str(path))
        try:
            connection = connect(path, create=False, page_size=PAGE_SIZE)
        except apsw.CantOpenError:
            if path.exists():
                raise
            raise SegmentMissing(str(path)) from None
        if _format(connection) == 0:
            connection.close()
            raise SegmentMissing(f"{path}: made by half")
        return connection

    def make(self, before: Tail, producer_keys: Iterable[tuple[int, int, int]], now: int) -> apsw.Connection:
        """A connection to the segment that follows `before`; it is made unless it is there, all of it in one
        transaction, `producer_keys` (partition, stream, key) included. The caller holds the lane's lock."""
        connection = connect(self.path(before.offset + 1), page_size=PAGE_SIZE)
        try:
            if _format(connection) == 0:
                with transaction(connection):
                    connection.execute(self.sql["schema"])
                    row = (before.offset + 1, before.append_time, before.total, now)
                    connection.execute(self.sql["insert_segment"], row)
                    connection.executemany(self.sql["set_producer_key"], producer_keys)
                    stamp_format(connection, APPLICATION_ID, FORMAT)
        except BaseException:
            connection.close()
            raise
        return connection

    def tail(self, connection: apsw.Connection) -> Tail:
        """The end of a segment as of now."""
        sealed, *rest = connection.execute(self.sql["tail"]).get
        return Tail(bool(sealed), *rest)

    @contextmanager
    def lent(self, first: int) -> Iterator[apsw.Connection]:
        """A connection for the block; every cursor on it must be used up or closed at the end. See `take`.
        Raises `DamagedFile` for what SQLite says in the block."""
        connection = self.take(first)
        try:
            yield connection
        except BaseException as error:
            connection.close(True)
            if isinstance(error, DAMAGE):
                raise_damage(self.path(first), error)
            raise
        self.give_back(first, connection)

    def take(self, first: int) -> apsw.Connection:
        """A connection to a segment, until `give_back`; if reading fails it is closed instead. Raises
        `SegmentMissing`, and RuntimeError after `close`."""
        with self._mutex:
            if self._closed:
                raise RuntimeError(f"{self.directory}: the log is closed")
            for index in range(len(self._idle) - 1, -1, -1):
                if self._idle[index][0] == first:
                    return self._idle.pop(index)[1]
        return self.open(first)

    def give_back(self, first: int, connection: apsw.Connection) -> None:
        """The connection is free for the next reader; of many the longest unused ones are closed."""
        with self._mutex:
            self._idle.append((first, connection))
            keep = 0 if self._closed else MAX_IDLE
            gone, self._idle = self._idle[: len(self._idle) - keep], self._idle[len(self._idle) - keep :]
        _close(gone)

    def forget(self, first: int) -> None:
        """Close idle connections to a segment."""
        with self._mutex:
            gone = [item for item in self._idle if item[0] == first]
            self._idle = [item for item in self._idle if item[0] != first]
        _close(gone)

    def close(self) -> None:
        """Close idle connections now and lent ones when they come back."""
        with self._mutex:
            self._closed = True
            gone, self._idle = self._idle, []
        _close(gone)


def _close(connections: list[tuple[int, apsw.Connection]]) -> None:
    for _, connection in connections:
        connection.close()


def _format(connection: apsw.Connection) -> int:
    return check_format(connection, APPLICATION_ID, FORMAT, "a log segment")
