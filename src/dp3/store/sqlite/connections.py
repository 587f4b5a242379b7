"""The connections of one process to the state file: one that writes, some that read."""

import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from dp3.sqlite import DISK_ERRORS, Checkpointer, FairLock, connect, sync_path, transaction
from dp3.store.ports.errors import StoreFull

logger = logging.getLogger(__name__)

READER_CACHE_MIB = 4
IDLE_READERS = 16
"""How many connections are kept for the next reader; more threads at once open more for a while."""

ROOM_TIMEOUT_S = 5.0
"""How long a commit waits for the write-ahead log to shrink. Readers hold it up for 1 s at most, so a
longer wait means a foreign reader; then growing is better than standing still."""


class Writer:
    """The writing connection. Its transactions queue fairly with those of all threads and processes."""

    def __init__(
        self, path: Path, lock: FairLock, *, cache_mib: int, checkpointer: Checkpointer | None
    ) -> None:
        self._path = path
        self._lock = lock
        self._checkpointer = checkpointer
        self._connection = connect(path, synchronous="NORMAL", cache_mib=cache_mib)

    def wait_for_room(self) -> None:
        """Back-pressure: wait (bounded) while the write-ahead log is over its limit."""
        if self._checkpointer and not self._checkpointer.wait_below(self._path, timeout_s=ROOM_TIMEOUT_S):
            logger.warning(
                "%s: the write-ahead log stays above its limit; another program keeps an old state open",
                self._path,
            )

    @contextmanager
    def transaction(self) -> Iterator[apsw.Connection]:
        """Everything in the block is committed, or nothing. Raises `StoreFull` when the disk refuses."""
        with self._lock.held():
            try:
                with transaction(self._connection):
                    yield self._connection
            except DISK_ERRORS as error:
                raise StoreFull(
                    f"{self._path}: the disk refused to store ({error}); nothing was written, "
                    "make room or check the disk, then try again"
                ) from error

    def make_durable(self) -> None:
        """Have the write-ahead log, and that there is one, written to the disk. Checkpoints do the same
        before they take anything out of it. Needs no lock. Raises `StoreFull` when the disk refuses."""
        try:
            for path in (self._path.with_name(self._path.name + "-wal"), self._path.parent):
                sync_path(path)
        except OSError as error:
            raise StoreFull(f"{self._path}: the disk refused to store ({error}); check the disk") from error

    def close(self) -> None:
        self._connection.close()


class Readers:
    """Reading connections, one per call at a time, kept for the next call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: deque[apsw.Connection] = deque()
        self._closed = False

    @contextmanager
    def state(self) -> Iterator[apsw.Connection]:
        """One committed state, the same for all statements of the block."""
        connection = self._take()
        try:
            with transaction(connection, "DEFERRED"):
                yield connection
        finally:
            self._give_back(connection)

    def _take(self) -> apsw.Connection:
        if self._closed:
            raise RuntimeError(f"{self._path}: the store is closed")
        try:
            return self._idle.pop()
        except IndexError:
            return connect(self._path, readonly=True, cache_mib=READER_CACHE_MIB)

    def _give_back(self, connection: apsw.Connection) -> None:
        if self._closed or len(self._idle) >= IDLE_READERS:
            connection.close()
        else:
            self._idle.append(connection)

    def close(self) -> None:
        """Close the idle connections; those in use are closed by their users."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()


class Changes:
    """A number that differs whenever a commit has happened: a connection that never writes sees them all."""

    def __init__(self, path: Path) -> None:
        self._mutex = threading.Lock()
        self._connection = connect(path, readonly=True, cache_mib=1)

    def version(self) -> int:
        with self._mutex:
            version: int = self._connection.pragma("data_version")
            return version

    def close(self) -> None:
        with self._mutex:
            self._connection.close()
