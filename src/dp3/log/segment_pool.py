"""Connections for reading segments, kept for the next reader."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from dp3.log.segment import open_segment

MAX_IDLE = 8
"""Connections kept per lane: one for each of a few readers at the end, and some older segments."""


class SegmentPool:
    """Lends connections to the segments of one lane to any number of threads."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._mutex = threading.Lock()
        self._idle: list[tuple[int, apsw.Connection]] = []
        self._closed = False

    def path(self, first: int) -> Path:
        """The file of the segment whose first offset is `first`."""
        return self.directory / f"{first:020d}.seg"

    def firsts(self) -> list[int]:
        """The first offsets of the segment files that are there, oldest first."""
        return sorted(int(path.stem) for path in self.directory.glob("*.seg"))

    def companions(self, path: Path) -> list[Path]:
        """The files that SQLite keeps beside the segment `path`."""
        return [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm")]

    def leftovers(self) -> list[Path]:
        """Companions of segments that are gone: their removal was interrupted."""
        present = {path.name for path in self.directory.glob("*.seg")}
        return [
            path for path in self.directory.glob("*.seg-*") if path.name.rpartition("-")[0] not in present
        ]

    @contextmanager
    def connection(self, first: int) -> Iterator[apsw.Connection]:
        """A connection for the block; every cursor on it must be used up or closed at the end.

        Raises `SegmentMissing`, and RuntimeError after `close`."""
        connection = self._take(first) or open_segment(self.path(first))
        try:
            yield connection
        except BaseException:
            connection.close(True)
            raise
        self._give_back(first, connection)

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

    def _take(self, first: int) -> apsw.Connection | None:
        with self._mutex:
            if self._closed:
                raise RuntimeError(f"{self.directory}: the log is closed")
            for index in range(len(self._idle) - 1, -1, -1):
                if self._idle[index][0] == first:
                    return self._idle.pop(index)[1]
        return None

    def _give_back(self, first: int, connection: apsw.Connection) -> None:
        with self._mutex:
            self._idle.append((first, connection))
            keep = 0 if self._closed else MAX_IDLE
            gone, self._idle = self._idle[: len(self._idle) - keep], self._idle[len(self._idle) - keep :]
        _close(gone)


def _close(connections: list[tuple[int, apsw.Connection]]) -> None:
    for _, connection in connections:
        connection.close()
