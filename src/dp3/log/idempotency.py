"""Keys of requests that were accepted within the last 24 hours."""

import threading
from array import array
from bisect import bisect_left
from typing import NamedTuple

import apsw

from dp3.log.lane_reader import LaneReader
from dp3.log.segment import SegmentMissing, sql
from dp3.log.segment_pool import SegmentPool

WINDOW_US = 24 * 3600 * 1_000_000


class Accepted(NamedTuple):
    """The first append with a key."""

    digest: bytes
    offset: int
    append_time: int


class _Sealed(NamedTuple):
    last_append_time: int
    hashes: "array[int]"


class RecentKeys:
    """Finds a key in the sealed segments of the MAIN lane.

    A sealed segment never changes, so a sorted array of its keys' hashes (8 bytes a key) is kept, and
    only a segment that may have the key is asked.
    """

    def __init__(self, reader: LaneReader, pool: SegmentPool) -> None:
        self._reader = reader
        self._pool = pool
        self._mutex = threading.Lock()
        self._sealed: dict[int, _Sealed] = {}

    def load(self, since_us: int) -> None:
        """Get to know the segments that were sealed since the last call; forget those that ended before
        `since_us`. Call it once before taking the lane's lock, where it may take long, and once under it."""
        with self._mutex:
            known: dict[int, _Sealed] = {}
            for first in reversed(self._reader.segments()[:-1]):
                try:
                    sealed = self._sealed.get(first) or self._load(first)
                except SegmentMissing:
                    break
                if sealed.last_append_time < since_us:
                    break
                known[first] = sealed
            self._sealed = known

    def find(self, newest: apsw.Connection, key: str, since_us: int) -> Accepted | None:
        """The append with `key` that is not older than `since_us`, in the newest segment or a loaded one."""
        found = _find(newest, key, since_us)
        for first, sealed in self._sealed.items():
            if found:
                break
            if _contains(sealed.hashes, hash(key)):
                with self._pool.connection(first) as connection:
                    found = _find(connection, key, since_us)
        return found

    def _load(self, first: int) -> _Sealed:
        with self._pool.connection(first) as connection:
            hashes = array("q", sorted(hash(key) for (key,) in connection.execute(sql()["idempotency_keys"])))
        return _Sealed(self._reader.tail(first).append_time, hashes)


def _find(connection: apsw.Connection, key: str, since_us: int) -> Accepted | None:
    row = connection.execute(sql()["find_idempotency_key"], (key, since_us)).get
    return Accepted(*row) if row else None


def _contains(hashes: "array[int]", wanted: int) -> bool:
    index = bisect_left(hashes, wanted)
    return index < len(hashes) and hashes[index] == wanted
