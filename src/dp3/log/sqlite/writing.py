"""The end of one lane: who may append, to which file, and when a new file begins."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from dp3.clock import Clock
from dp3.log.ages import LANE_START, Rotation, Tail
from dp3.log.port import LogFull
from dp3.log.sqlite.head import EMPTY, Extent, HeadFile
from dp3.log.sqlite.reading import LaneReader
from dp3.log.sqlite.segments import SegmentFiles
from dp3.log.sqlite.wholeness import GONE, Loss, remember_losses
from dp3.sqlite import (
    DAMAGE,
    DISK_ERRORS,
    Checkpointer,
    DamagedFile,
    FairLock,
    FormatError,
    damage,
    transaction,
    wal_size,
)

logger = logging.getLogger(__name__)

REFUSALS = (*DISK_ERRORS, *DAMAGE, apsw.CantOpenError)
"""A full disk also shows in a file that cannot be made."""


class LaneWriter:
    """Gives out transactions at the end of the lane, one at a time among all threads and processes."""

    def __init__(
        self,
        files: SegmentFiles,
        reader: LaneReader,
        clock: Clock,
        rotation: Rotation,
        checkpointer: Checkpointer,
        lock: FairLock,
    ) -> None:
        """Made after `require_whole` has looked at the lane: makes the first segment if there is none. Raises
        `LogFull`. The lock is closed with the writer."""
        self._files = files
        self._reader = reader
        self._clock = clock
        self._rotation = rotation
        self._checkpointer = checkpointer
        self._lock = lock
        self._head = HeadFile(files.directory)
        self._is_noted = True
        self._first = 0
        self._path: Path | None = None
        self._connection: apsw.Connection | None = None
        try:
            self._make_first()
        except BaseException:
            self._lock.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[tuple[apsw.Connection, Tail]]:
        """A durable transaction on the segment at the end, and where the lane ends before it.

        Raises `LogFull` when the disk refuses, `DamagedFile`; then nothing has changed, and the next
        transaction begins with a new connection."""
        if self._path is not None and not self._checkpointer.wait_below(self._path):
            logger.warning("%s: somebody reads an old state; its write-ahead log grows", self._path)
        with self._lock:
            try:
                connection, tail = self._end()
                with transaction(connection):
                    yield connection, tail
                self._note_end(connection)
            except REFUSALS as error:
                raise self._refused(error) from error

    def remove_before(self, offset: int, before_us: int) -> int:
        """Delete the segments whose last entry is below `offset` and of which every entry was appended before
        `before_us`."""
        return self._reader.retrying(lambda: self._remove_before(offset, before_us))

    def resume_after(self, offset: int, order: int) -> None:
        """See `Log.resume_after`."""
        with self._lock:
            try:
                connection, tail = self._end()
                if tail.offset >= offset and tail.order >= order:
                    return
                if offset > tail.offset:
                    loss = Loss(tail.offset + 1, offset, GONE, self._clock.now_us())
                    remember_losses(self._files.directory, [loss])
                with transaction(connection):
                    connection.execute(self._files.sql["seal"])
                end = tail._replace(offset=max(offset, tail.offset), order=max(order, tail.order))
                connection, _ = self._advance(connection, end)
                self._note_end(connection)
            except (*REFUSALS, OSError) as error:
                raise self._refused(error) from error

    def close(self) -> None:
        """Give back the lock and the connection."""
        with self._lock:
            self._let_go()
        self._head.close()
        self._lock.close()

    # -- inside --------------------------------------------------------------------------------------
    def _remove_before(self, offset: int, before_us: int) -> int:
        ended = self._reader.finished(before_us, self._clock.now_us())
        gone = [segment for segment in ended if segment.last < offset]
        if gone:
            with self._lock:
                extent = self._head.read() or EMPTY
                self._head.write(extent._replace(begin=max(extent.begin, gone[-1].last + 1)))
                self._head.sync()
        for segment in gone:
            self._checkpointer.unwatch(self._files.path(segment.first))
            self._files.remove(segment.first)
        self._reader.rescan()
        return len(gone)

    def _note_end(self, connection: apsw.Connection) -> None:
        """The lane ends here. A process that dies before this has answered nobody. Whatever fails here, what
        was appended is there, so its sender must not be told otherwise: the note is then older than the lane,
        as after power loss."""
        try:
            tail = self._files.tail(connection)
            begin = (self._head.read() or Extent(self._reader.begin(), 0, 0, 0)).begin
            self._head.write(Extent(begin, tail.offset, tail.order, tail.total))
            self._is_noted = True
        except (OSError, FormatError, apsw.Error) as error:
            if self._is_noted:
                logger.error("%s: where the log ends could not be noted: %s", self._files.directory, error)
            self._is_noted = False

    def _refused(self, error: Exception) -> DamagedFile | LogFull:
        self._let_go()
        return damage(self._path or self._files.directory, error) or LogFull(
            f"{self._files.directory}: the disk refused an append ({error}); nothing was added; "
            "free some space"
        )

    def _make_first(self) -> None:
        with self._lock:
            try:
                self._files.remove_orphans()
                self._reader.rescan()
                if not self._reader.newest():
                    self._head.write(EMPTY)
                    self._head.sync()
                    self._files.make(LANE_START, (), self._clock.now_us()).close()
                    self._reader.rescan()
            except (*REFUSALS, OSError) as error:
                raise self._refused(error) from error

    def _end(self) -> tuple[apsw.Connection, Tail]:
        """The segment that takes the next entry. The lock is held, so nobody else seals or makes one."""
        connection = self._connection or self._open_newest()
        tail = self._files.tail(connection)
        while tail.sealed:
            connection, tail = self._advance(connection, tail)
        if self._rotation.is_due(tail, self._clock.now_us()):
            with transaction(connection):
                connection.execute(self._files.sql["seal"])
            connection, tail = self._advance(connection, tail)
        return connection, tail

    def _open_newest(self) -> apsw.Connection:
        *older, newest = self._reader.segments()
        for first in older:
            if wal_size(self._files.path(first)):
                self._checkpointer.retire(self._files.path(first))
        return self._go_on(newest, self._files.open(newest))

    def _advance(self, sealed: apsw.Connection, tail: Tail) -> tuple[apsw.Connection, Tail]:
        """Go on to the segment after a sealed one; make it if nobody has, whoever sealed may have died."""
        keys = [self._files.verified(row) for row in sealed.execute(self._files.sql["producer_keys"])]
        first = tail.offset + 1
        following = self._files.make(tail, keys, self._clock.now_us())
        finished = self._first
        self._let_go()
        self._files.forget(finished)
        self._go_on(first, following)
        self._checkpointer.retire(self._files.path(finished))
        return following, self._files.tail(following)

    def _go_on(self, first: int, connection: apsw.Connection) -> apsw.Connection:
        self._first, self._path, self._connection = first, self._files.path(first), connection
        self._checkpointer.watch(self._path, self._lock)
        return connection

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close(True)
        self._connection = None
