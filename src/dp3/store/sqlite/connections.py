"""The connections of one process to the state file: one that writes, some that read."""

import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import apsw

from dp3.files import sync_path
from dp3.sqlite import (
    DAMAGE,
    DISK_ERRORS,
    Checkpointer,
    DamagedFile,
    FairLock,
    bytes_in,
    connect,
    damage,
    raise_damage,
)
from dp3.statements import Statements
from dp3.store.ports.errors import LeaseLost, StoreFull
from dp3.store.ports.leases import Lease
from dp3.store.sql.leases import why_lost
from dp3.store.sql.session import Values
from dp3.store.sqlite.session import SqliteSession

logger = logging.getLogger(__name__)

READER_CACHE_MIB = 4
IDLE_READERS = 16
"""Connections that are kept for the next reader; more threads at once open more for a while."""

ROOM_TIMEOUT_S = 5.0
"""A commit waits so long for the write-ahead log to shrink. Readers hold it up for 1 s at most, so a
longer wait means a foreign reader; then growing is better than standing still."""


class Writer:
    """The writing connection. Its transactions queue fairly with those of all threads and processes.

    Begin and commit stand here once more instead of `dp3.sqlite.transaction`: every commit of a worker goes
    this way."""

    def __init__(
        self,
        path: Path,
        lock: FairLock,
        statements: Statements,
        *,
        cache_mib: int,
        checkpointer: Checkpointer | None,
    ) -> None:
        self._path = path
        self._lock = lock
        self._checkpointer = checkpointer
        self._connection = connect(path, synchronous="NORMAL", cache_mib=cache_mib)
        self._session = SqliteSession(self._connection, statements)

    @contextmanager
    def transaction(self, lease: Lease | None = None) -> Iterator[SqliteSession]:
        """See `Database.writing`."""
        connection, session = self._connection, self._session
        with self._lock:
            try:
                connection.execute("BEGIN IMMEDIATE")
                if lease is not None and session.value("leases.is_held", (lease.epoch,)) is None:
                    raise LeaseLost(why_lost(lease, session.rows("leases.leases")))
                yield session
                connection.execute("COMMIT")
            except (*DISK_ERRORS, *DAMAGE) as error:
                raise self._refused(error) from error
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def wait_for_room(self) -> None:
        """Back-pressure: wait (bounded) while the write-ahead log is over its limit."""
        if self._checkpointer and not self._checkpointer.wait_below(self._path, timeout_s=ROOM_TIMEOUT_S):
            logger.warning(
                "%s: the write-ahead log stays above its limit; another program keeps an old state open",
                self._path,
            )

    def make_durable(self) -> None:
        """Have the write-ahead log, and that there is one, written to the disk. Checkpoints do the same
        before they take anything out of it. Needs no lock. Raises `StoreFull` when the disk refuses."""
        try:
            for path in (self._path.with_name(self._path.name + "-wal"), self._path.parent):
                sync_path(path)
        except OSError as error:
            raise StoreFull(f"{self._path}: the disk refused to store ({error}); check the disk") from error

    def close(self) -> None:
        """Give back the connection; SQLite may empty the write-ahead log when it is the last one."""
        with self._lock:
            self._connection.close()

    def _refused(self, error: apsw.Error) -> DamagedFile | StoreFull:
        return damage(self._path, error) or StoreFull(
            f"{self._path}: the disk refused to store ({error}); nothing was written, "
            "make room or check the disk, then try again"
        )


class Readers:
    """Reading connections, one per call at a time, kept for the next call. What reads raises `DamagedFile`
    where the file is damaged; all else can be read as before."""

    def __init__(self, path: Path, statements: Statements) -> None:
        self._path = path
        self._statements = statements
        self._idle: deque[SqliteSession] = deque()
        self._closed = False

    @contextmanager
    def one(self) -> Iterator[SqliteSession]:
        """A session for one statement."""
        session = self._take()
        try:
            yield session
        except DAMAGE as error:
            raise_damage(self._path, error)
        finally:
            self._give_back(session)

    @contextmanager
    def state(self) -> Iterator[SqliteSession]:
        """One committed state, the same for all statements of the block."""
        session = self._take()
        try:
            session.connection.execute("BEGIN DEFERRED")
            yield session
        except DAMAGE as error:
            raise_damage(self._path, error)
        finally:
            if session.connection.in_transaction:
                session.connection.execute("ROLLBACK")
            self._give_back(session)

    def _take(self) -> SqliteSession:
        if self._closed:
            raise RuntimeError(f"{self._path}: the store is closed")
        try:
            return self._idle.pop()
        except IndexError:
            connection = connect(self._path, readonly=True, cache_mib=READER_CACHE_MIB)
            return SqliteSession(connection, self._statements)

    def _give_back(self, session: SqliteSession) -> None:
        if self._closed or len(self._idle) >= IDLE_READERS:
            session.connection.close()
        else:
            self._idle.append(session)

    def close(self) -> None:
        """Close the idle connections; those in use are closed by their users."""
        self._closed = True
        while self._idle:
            self._idle.pop().connection.close()


class Changes:
    """See `dp3.store.ports.batches.Changes`: a connection that never writes sees all commits."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mutex = threading.Lock()
        self._connection = connect(path, readonly=True, cache_mib=1)

    def version(self) -> int:
        with self._mutex:
            try:
                version: int = self._connection.pragma("data_version")
            except DAMAGE as error:
                raise_damage(self._path, error)
            return version

    def close(self) -> None:
        """Give back the connection."""
        with self._mutex:
            self._connection.close()


class SqliteDatabase:
    """See `dp3.store.sql.session.Database`: everything that one process has open of a state file, in the end
    closed together."""

    commit_target_s = 0.025
    """Half of the 50 ms for which the write lock may be held; the other half is for a busy machine."""

    def __init__(
        self,
        path: Path,
        statements: Statements,
        lock: FairLock,
        checkpointer: Checkpointer | None,
        cache_mib: int,
    ) -> None:
        """Takes over `lock` and `checkpointer`."""
        self.path = path
        self._writer = Writer(path, lock, statements, cache_mib=cache_mib, checkpointer=checkpointer)
        self._readers = Readers(path, statements)
        self.changes = Changes(path)
        self._lock = lock
        self._checkpointer = checkpointer
        self._closed = False

    def reading(self) -> AbstractContextManager[SqliteSession]:
        """See the protocol."""
        return self._readers.state()

    def writing(self, lease: Lease | None = None) -> AbstractContextManager[SqliteSession]:
        """See the protocol."""
        return self._writer.transaction(lease)

    def rows(self, name: str, values: Values = ()) -> list[Any]:
        """See the protocol."""
        with self._readers.one() as session:
            return session.rows(name, values)

    def value(self, name: str, values: Values = ()) -> Any:
        """See the protocol."""
        with self._readers.one() as session:
            return session.value(name, values)

    @contextmanager
    def owned(self, lease: Lease) -> Iterator[SqliteSession]:
        """See the protocol. There is room once the write-ahead log is small enough."""
        if self._checkpointer is not None:
            self.wait_for_room()
        with self.writing(lease) as session:
            yield session

    def wait_for_room(self) -> None:
        """See the protocol."""
        self._writer.wait_for_room()

    def make_durable(self) -> None:
        """See the protocol."""
        self._writer.make_durable()

    def disk_bytes(self) -> int:
        """See the protocol."""
        return bytes_in(self.path.parent.glob(f"{self.path.name}*"))

    def close(self) -> None:
        """Give back connections, files and the checkpointing thread; calling it again does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._checkpointer:
            self._checkpointer.close()
        self._readers.close()
        self.changes.close()
        self._writer.close()
        self._lock.close()
