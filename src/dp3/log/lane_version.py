"""Noticing cheaply that something was appended."""

import threading

import apsw

from dp3.log.lane_reader import LaneReader
from dp3.log.segment import open_segment, tail_of
from dp3.log.segment_pool import SegmentPool


class LaneVersion:
    """A token that changes with every append to the lane, for a few µs."""

    def __init__(self, reader: LaneReader, pool: SegmentPool) -> None:
        self._reader = reader
        self._pool = pool
        self._mutex = threading.Lock()
        self._connection: apsw.Connection | None = None
        self._first = self._seen = 0
        self._sealed = False

    def get(self) -> tuple[int, int]:
        """First offset of the segment at the end and the version of its data."""
        with self._mutex:
            if self._connection is None or self._sealed or self._data_version() != self._seen:
                self._reader.retrying(self._catch_up)
            return self._first, self._seen

    def close(self) -> None:
        """Give back the connection."""
        with self._mutex:
            self._release()

    def _catch_up(self) -> None:
        newest = self._reader.newest()
        if newest != self._first or self._connection is None:
            self._release()
            self._connection = open_segment(self._pool.path(newest))
            self._first = newest
        self._seen = self._data_version()
        self._sealed = tail_of(self._connection).sealed

    def _data_version(self) -> int:
        assert self._connection is not None
        version: int = self._connection.execute("PRAGMA data_version").get
        return version

    def _release(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
