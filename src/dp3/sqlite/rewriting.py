"""Replacing a database file by a copy of itself: with checksums, and with whatever else a new format
needs."""

import errno
import logging
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw

from dp3.files import FormatError, open_file, sync_path
from dp3.sqlite.checksums import (
    CHECKSUM_BYTES,
    checksum_vfs,
    connect_plainly,
    reserve,
    write_checksums,
)
from dp3.sqlite.connection import MIB, connect, transaction
from dp3.sqlite.damage import DAMAGE, damage_named, damaged, raise_damage

ALONE_TIMEOUT_MS = 2_000
"""A process that is about to end gets so long to let go of the file."""

SPARE_MIB = 16
"""Room that a copy may need beyond the size of the file: what `change` adds, and the first write-ahead
log."""

TELL_EVERY_S = 10.0

STEPS = 100_000
"""Steps of SQLite between two looks at how far it is; some milliseconds."""

logger = logging.getLogger(__name__)


def rewrite(path: Path, change: Callable[[apsw.Connection], None], *, checksums: bool = True) -> None:
    """Replace a database file by a copy, which has `checksums` or not, brought up to date by `change` in one
    transaction.

    The caller holds the `FairLock` of the file and has it not open. Whenever the process is killed, either
    the old file is there, as it was, or the new one, complete: the copy is made beside it (`.new`), compared
    with it, read through once, written to the disk, and renamed. What a killed attempt has left is removed by
    the next one.

    Raises `FormatError` if another process has the file open, `DamagedFile` if it is damaged, `OSError`
    (`ENOSPC`) before anything is done if there is not enough room, one of `DISK_ERRORS` if it is used up
    meanwhile.
    """
    copy = path.with_name(path.name + ".new")
    _remove(copy)
    _require_room(path)
    started = time.monotonic()
    logger.info("%s: making a copy in the new format, %d MB", path, _megabytes(path))
    with damage_named(path), _alone(path, checksums) as old:
        try:
            _copy(old, path, copy, checksums)
            logger.info("%s: comparing the copy with the file", path)
            _finish(old, copy, change, checksums)
            copy.replace(path)
        except BaseException:
            _remove(copy)
            raise
        sync_path(path.parent)
    logger.info("%s: now in the new format, after %.0f s", path, time.monotonic() - started)


def renew_checksums(path: Path) -> int:
    """Take the content of a file for what it should be, and write the checksums that its pages lack; returns
    how many pages did.

    For whoever knows why they are wrong: another program has written to the file. An older version, or the
    `sqlite3` shell, does so when it is the first to open, and close, a file after a crash: it moves pages
    from the write-ahead log. Raises `FormatError` if another process has the file open, or if it is no file
    with checksums.
    """
    if checksum_vfs() is None:
        raise FormatError(f"{path}: this installation of apsw has no checksums; install apsw from a wheel")
    connection = connect_plainly(path)
    try:
        connection.set_busy_timeout(ALONE_TIMEOUT_MS)
        # Set before anything is read, it means that nobody else may have the file open.
        connection.pragma("locking_mode", "exclusive")
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        if connection.reserve_bytes() != CHECKSUM_BYTES:
            raise FormatError(f"{path}: its pages have no room for checksums, so none are wrong")
        return write_checksums(path, connection)
    except (apsw.BusyError, apsw.LockedError):
        raise FormatError(f"{path}: another process has it open; stop all processes first") from None
    except DAMAGE as error:
        raise_damage(path, error)
    finally:
        connection.close()


def _remove(copy: Path) -> None:
    for suffix in ("", "-journal", "-wal", "-shm"):
        copy.with_name(copy.name + suffix).unlink(missing_ok=True)


def _require_room(path: Path) -> None:
    size = path.stat().st_size
    with_wal = path.with_name(path.name + "-wal")
    size += with_wal.stat().st_size if with_wal.exists() else 0
    needed = size + size // 50 + SPARE_MIB * MIB
    file_system = os.statvfs(path.parent)
    free = file_system.f_bavail * file_system.f_frsize
    if free < needed:
        why = f"a copy in the new format needs {needed // MIB} MB, {free // MIB} MB are free; make room"
        raise OSError(errno.ENOSPC, why, str(path))


@contextmanager
def _alone(path: Path, checksums: bool) -> Iterator[apsw.Connection]:
    """A connection to the file while nobody else has one, nor gets one."""
    connection = connect(path, create=False, checksums=checksums)
    try:
        connection.set_busy_timeout(ALONE_TIMEOUT_MS)
        try:
            connection.pragma("journal_mode", "delete")  # needs that nobody else has it open
            connection.pragma("locking_mode", "exclusive")
            connection.execute("BEGIN EXCLUSIVE; COMMIT")
        except (apsw.BusyError, apsw.LockedError):
            raise FormatError(
                f"{path}: it is to be brought into a new format, and another process has it open; "
                "stop all processes of the old version, then start again"
            ) from None
        yield connection
    finally:
        connection.close()


def _copy(old: apsw.Connection, path: Path, copy: Path, checksums: bool) -> None:
    _make_like(path, copy)
    if checksums:
        reserve(old)
    size = _megabytes(path)
    told = time.monotonic()

    def tell() -> bool:
        nonlocal told
        if time.monotonic() - told >= TELL_EVERY_S:
            told = time.monotonic()
            logger.info("%s: %d of %d MB copied", path, _megabytes(copy), size)
        return False

    old.set_progress_handler(tell, STEPS)
    try:
        old.execute("VACUUM INTO ?", (str(copy),))
    finally:
        old.set_progress_handler(None)
    if checksums and checksum_vfs():
        with closing(connect_plainly(copy)) as new:
            write_checksums(copy, new)


def _make_like(path: Path, copy: Path) -> None:
    """Make an empty file with the mode and the owner of another, whoever this process is."""
    os.close(open_file(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL))
    like, own = path.stat(), copy.stat()
    copy.chmod(stat.S_IMODE(like.st_mode))
    if (like.st_uid, like.st_gid) != (own.st_uid, own.st_gid):
        os.chown(copy, like.st_uid, like.st_gid)


def _finish(
    old: apsw.Connection, copy: Path, change: Callable[[apsw.Connection], None], checksums: bool
) -> None:
    """Compare, change and check the copy, and have it written to the disk."""
    new = connect(copy, create=False, checksums=checksums)
    try:
        _require_same_rows(old, new, copy)
        with transaction(new):
            change(new)
        found = new.execute("PRAGMA quick_check(1)").get  # the copied indexes are as right as the old ones
        if found != "ok":
            raise damaged(copy, found)
        new.pragma("journal_mode", "wal")
    finally:
        new.close()
    sync_path(copy)


def _require_same_rows(old: apsw.Connection, new: apsw.Connection, copy: Path) -> None:
    tables = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
    for (name,) in old.execute(tables).fetchall():
        count = f'SELECT count(*) FROM "{name}"'
        before, after = old.execute(count).get, new.execute(count).get
        if before != after:
            raise damaged(copy, f"{after} of {before} rows of {name} were copied")


def _megabytes(path: Path) -> int:
    return path.stat().st_size // MIB
