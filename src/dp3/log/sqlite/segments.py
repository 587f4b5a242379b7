"""The files of one lane: each log segment is a SQLite database that holds a part of the lane."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import apsw

from dp3.files import OtherFormat, make_directory
from dp3.log.ages import Tail
from dp3.log.checksums import row_checksum
from dp3.log.port import Lane
from dp3.sqlite import (
    DAMAGE,
    FormatError,
    check_format,
    connect,
    raise_damage,
    stamp_format,
    transaction,
)
from dp3.statements import Statements, load_statements

APPLICATION_ID = 0x4450334C
"""`DP3L` in ASCII."""

FORMAT = 3
"""Since 3 large bodies are compressed. What format 2 has, this one has, too: its segments are read as they
are."""

READABLE = (2, 3)

PAGE_SIZE = 8192
"""Measured with entries of 200 bytes and of 150 kB: smaller pages make large entries slower, larger ones
make the WAL of small commits grow fast."""

MAX_IDLE = 8
"""Connections kept per lane: one for each of a few readers at the end, and some older segments."""


RESTORE = "restore the data directory from a copy"

Columns: TypeAlias = tuple[Any, ...]


class SegmentMissing(Exception):
    """There is no such segment: removed, or not (completely) made yet."""


class SegmentFiles:
    """The segments of one lane, each named after its first offset. Connections for reading are lent to any
    number of threads and kept for the next reader."""

    def __init__(self, lane: Lane, directory: Path, *, readonly: bool = False) -> None:
        """The directory is made if it is missing. `readonly`: nothing is made or changed, as long as nobody
        else uses the lane."""
        if not readonly:
            make_directory(directory)
        self.lane = lane
        self.directory = directory
        self._readonly = readonly
        self.sql: Statements = load_statements("dp3.log.sqlite", "segments.sql")
        self._tables = _tables(self.sql)
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
            connection = self.connect(first)
        except apsw.CantOpenError:
            if path.exists():
                raise
            raise SegmentMissing(str(path)) from None
        try:
            if _format(connection) == 0:
                raise SegmentMissing(f"{path}: made by half")
            self._verify(connection, first)
        except BaseException:
            connection.close()
            raise
        return connection

    def connect(self, first: int) -> apsw.Connection:
        """A new connection to a segment of any format, whatever is in it, for the caller to close."""
        path = self.path(first)
        has_wal = path.with_name(path.name + "-wal").exists()
        return connect(
            path,
            create=False,
            page_size=PAGE_SIZE,
            checksums=False,
            readonly=self._readonly,
            immutable=self._readonly and not has_wal,
        )

    def format(self, first: int) -> int:
        """The format of a segment, 0 if that can not be told: it is damaged, or was made by half. Raises
        `OtherFormat`."""
        try:
            with closing(self.connect(first)) as connection:
                return _format(connection)
        except OtherFormat:
            raise
        except (FormatError, apsw.CantOpenError):
            return 0

    def make(self, before: Tail, producer_keys: Iterable[tuple[int, int, int]], now: int) -> apsw.Connection:
        """A connection to the segment that follows `before`; it is made unless it is there, all of it in one
        transaction, `producer_keys` (partition, stream, key) included. The caller holds the lane's lock."""
        connection = connect(self.path(before.offset + 1), page_size=PAGE_SIZE, checksums=False)
        try:
            if _format(connection) == 0:
                with transaction(connection):
                    connection.execute(self.sql["schema"])
                    row = (before.offset + 1, before.order, before.total, now)
                    connection.execute(self.sql["insert_segment"], (*row, row_checksum(self.lane, *row)))
                    connection.executemany(self.sql["set_producer_key"], self.with_checksums(producer_keys))
                    stamp_format(connection, APPLICATION_ID, FORMAT)
        except BaseException:
            connection.close()
            raise
        return connection

    def with_checksums(self, rows: Iterable[Columns]) -> Iterator[Columns]:
        """Rows to be written, each with its checksum."""
        return ((*row, row_checksum(self.lane, *row)) for row in rows)

    def verified(self, row: Columns) -> Columns:
        """A row that was read, without its checksum. Raises `FormatError` if it is not what was written."""
        *columns, checksum = row
        if row_checksum(self.lane, *columns) != checksum:
            raise FormatError(
                f"{self.directory}: a row of the log is damaged; restore the directory from a copy"
            )
        return tuple(columns)

    def damaged_rows(self, connection: apsw.Connection) -> Iterator[tuple[str, Columns]]:
        """Rows beside the entries that are not what was written: the statement that forgets one, and its
        key."""
        for kind, size in (("producer", 2), ("idempotency", 1)):
            for *row, checksum in connection.execute(self.sql[f"{kind}_keys"]):
                if row_checksum(self.lane, *row) != checksum:
                    yield f"forget_{kind}_key", tuple(row[:size])

    def _verify(self, connection: apsw.Connection, first: int) -> None:
        """Raise `FormatError` unless the file is the one that its name says."""
        if connection.execute(self.sql["tables"]).get != self._tables:
            raise FormatError(f"{connection.filename}: the file is damaged (schema); {RESTORE}")
        row = connection.execute(self.sql["segment"]).get
        if row is None or self.verified(row)[0] != first:
            raise FormatError(
                f"{connection.filename}: not this part of the log; restore the directory from a copy"
            )

    def tail(self, connection: apsw.Connection) -> Tail:
        """The end of a segment as of now."""
        first, sealed, *rest = connection.execute(self.sql["tail"]).get
        return Tail(first, bool(sealed), *rest)

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


def _tables(sql: Statements) -> str:
    """The schema of a segment, as SQLite keeps it."""
    connection = apsw.Connection(":memory:")
    try:
        connection.execute(sql["schema"])
        tables: str = connection.execute(sql["tables"]).get
        return tables
    finally:
        connection.close()


def _format(connection: apsw.Connection) -> int:
    return check_format(connection, APPLICATION_ID, FORMAT, "a log segment")
