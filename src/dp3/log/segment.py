"""One segment file: a SQLite database that holds one stretch of a lane."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import apsw

from dp3.sqlite import Statements, check_format, connect, load_statements, stamp_format, transaction

APPLICATION_ID = 0x4450334C
"""`DP3L` in ASCII."""

FORMAT = 1

PAGE_SIZE = 8192
"""Measured with entries of 200 bytes and of 150 kB: smaller pages make large entries slower, larger ones
make the WAL of small commits grow fast."""


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
"""What is before the first segment."""


@cache
def sql() -> Statements:
    """The statements of segment files."""
    return load_statements("dp3.log", "segments.sql")


def open_segment(path: Path) -> apsw.Connection:
    """A connection to an existing segment. Raises `SegmentMissing`, or `FormatError` for a foreign file."""
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


def make_segment(
    path: Path, before: Tail, producer_keys: Iterable[tuple[int, int, int]], created: int
) -> apsw.Connection:
    """A connection to the segment that follows `before`; it is made unless it is there, all of it in one
    transaction, `producer_keys` (partition, lane, key) included. The caller holds the lane's lock."""
    connection = connect(path, page_size=PAGE_SIZE)
    try:
        if _format(connection) == 0:
            with transaction(connection):
                connection.execute(sql()["schema"])
                row = (before.offset + 1, before.append_time, before.total, created)
                connection.execute(sql()["insert_segment"], row)
                connection.executemany(sql()["set_producer_key"], producer_keys)
                stamp_format(connection, APPLICATION_ID, FORMAT)
    except BaseException:
        connection.close()
        raise
    return connection


def tail_of(connection: apsw.Connection) -> Tail:
    """The end of the segment as of now."""
    sealed, *rest = connection.execute(sql()["tail"]).get
    return Tail(bool(sealed), *rest)


def _format(connection: apsw.Connection) -> int:
    return check_format(connection, APPLICATION_ID, FORMAT, "a log segment")
