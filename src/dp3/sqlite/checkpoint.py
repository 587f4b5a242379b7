"""Moving committed pages from write-ahead logs to their database files, in a thread of its own."""

import logging
import threading
from contextlib import nullcontext
from pathlib import Path

import apsw

from dp3.sqlite.connection import MIB, connect
from dp3.sqlite.lock import FairLock

logger = logging.getLogger(__name__)

RETRY_S = 0.02
"""Pause between attempts while a writer waits; also the shortest time between two rounds."""

TRUNCATE_BUSY_MS = 10
"""Emptying a WAL may wait so long for a reader; writers stand still meanwhile."""

TRUNCATE_REST_PAGES = 256
"""Writers stand still while the last pages are moved and synced: 2 MB take a few milliseconds."""

ROUNDS = 4
"""Each moves what writers added during the one before, so that little is left for when they stand still."""


def wal_size(path: Path) -> int:
    """Bytes of the WAL of the database file `path`, 0 if it has none."""
    try:
        return path.with_name(path.name + "-wal").stat().st_size
    except FileNotFoundError:
        return 0


class Checkpointer:
    """Checkpoints the watched files every `interval_s`, and sooner when a WAL has reached half its limit.

    That early it also tries to empty the WAL, which succeeds as soon as nobody reads from it. Writers that
    call `wait_below` before each transaction therefore keep the WAL below the limit plus one transaction.
    """

    def __init__(self, *, interval_s: float = 1.0, wal_limit: int = 64 * MIB) -> None:
        self._interval_s = interval_s
        self._wal_limit = wal_limit
        self._changed = threading.Condition()
        self._watched: dict[Path, _Watched] = {}
        self._wanted = self._stopping = False
        self._waiting = 0
        self._thread = threading.Thread(target=self._run, name="checkpointer", daemon=True)
        self._thread.start()

    def watch(self, path: Path, lock: FairLock | None = None) -> None:
        """Take care of an existing database file. `lock` is the one its writers hold: emptying a large WAL
        takes a turn in it for some milliseconds."""
        with self._changed:
            if path not in self._watched:
                self._watched[path] = _Watched(path, lock, self._wal_limit)

    def retire(self, path: Path) -> None:
        """Watch a file that is not written any more until its WAL is empty, then let go of it. Nothing
        happens if it has been removed."""
        with self._changed:
            try:
                self.watch(path)
            except apsw.CantOpenError:
                return
            self._watched[path].retiring = self._wanted = True
            self._changed.notify_all()

    def unwatch(self, path: Path) -> None:
        """Let go of a file; afterwards nothing here has it open."""
        with self._changed:
            watched = self._watched.pop(path, None)
        if watched is not None:
            watched.close()

    def wait_below(self, path: Path, limit: int | None = None, timeout_s: float = 10.0) -> bool:
        """Wait until the WAL of a watched file has at most `limit` bytes (default: the `wal_limit`).

        False if it still has more after `timeout_s`, because somebody reads an old state. Costs a few µs
        when there is nothing to wait for. Do not hold the file's lock.
        """
        bound = self._wal_limit if limit is None else limit
        size = wal_size(path)
        if size * 2 <= bound:
            return True
        with self._changed:
            if path in self._watched:
                self._watched[path].limit = bound
            self._wanted = True
            self._changed.notify_all()
            return size <= bound or self._wait(path, bound, timeout_s)

    def close(self) -> None:
        """Stop the thread and close its connections. Closing twice is allowed."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()
        for path in list(self._watched):
            self.unwatch(path)

    def _wait(self, path: Path, bound: int, timeout_s: float) -> bool:
        self._waiting += 1
        try:
            self._changed.wait_for(lambda: self._stopping or wal_size(path) <= bound, timeout_s)
            return wal_size(path) <= bound
        finally:
            self._waiting -= 1

    def _run(self) -> None:
        while self._next_round():
            with self._changed:
                round_ = list(self._watched.items())
            for path, watched in round_:
                if watched.checkpoint():
                    self.unwatch(path)
            with self._changed:
                self._changed.notify_all()

    def _next_round(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping, RETRY_S)
            if not self._waiting:
                self._changed.wait_for(lambda: self._stopping or self._wanted, self._interval_s)
            self._wanted = False
            return not self._stopping


class _Watched:
    """One file and the connection that checkpoints it."""

    def __init__(self, path: Path, lock: FairLock | None, limit: int) -> None:
        self.limit = limit
        self.retiring = False
        self._path = path
        self._lock = lock
        self._mutex = threading.Lock()
        self._failing = False
        self._connection: apsw.Connection | None = connect(
            path, synchronous="NORMAL", create=False, cache_mib=1
        )
        self._connection.set_busy_timeout(TRUNCATE_BUSY_MS)

    def checkpoint(self) -> bool:
        """One attempt; True when a retiring file has an empty WAL and can be let go."""
        with self._mutex:
            if self._connection is None:
                return False
            try:
                self._move(self._connection)
                self._failing = False
            except (apsw.BusyError, apsw.LockedError):
                return False
            except apsw.Error as error:
                self._report(error)
                return False
        return self.retiring and wal_size(self._path) == 0

    def close(self) -> None:
        with self._mutex:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def _move(self, connection: apsw.Connection) -> None:
        """Move pages beside the writers. Empty a large WAL when what came meanwhile is moved quickly."""
        frames = 0
        for _ in range(ROUNDS):
            before = frames
            frames, moved = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            large = wal_size(self._path) * 2 > self.limit
            if moved < frames or not (large or self.retiring):
                return
            if frames - before <= TRUNCATE_REST_PAGES:
                break
        with self._lock.held() if self._lock else nullcontext():
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

    def _report(self, error: apsw.Error) -> None:
        if not self._failing:
            logger.warning("%s: cannot checkpoint, trying again: %s", self._path, error)
        self._failing = True
