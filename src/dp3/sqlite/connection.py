"""Opening SQLite files the one way we use them."""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

import apsw

from dp3.files import FormatError, OtherFormat, open_file
from dp3.sqlite.checksums import (
    CHECKSUM_BYTES,
    PLAIN_VFS,
    checksum_vfs,
    has_checksums,
    has_lost_mark,
    notice_checksums,
    reserve,
)
from dp3.sqlite.configuring import configure_sqlite
from dp3.sqlite.damage import damage, damaged

DISK_ERRORS = (apsw.FullError, apsw.IOError)
"""Errors of SQLite when the disk is full or fails; the transaction has not happened. Ask `damage` first: a
checksum that is wrong is such an error, too."""

NO_ACCESS = (apsw.CantOpenError, apsw.PermissionsError, apsw.ReadOnlyError)
"""Errors of SQLite when this user may not use the file, or it is not there."""

BUSY_TIMEOUT_MS = 10_000
"""Writers queue in a FairLock, so this only covers recovery after a crash and checkpoints."""

STATEMENTS = 256
"""Prepared statements that a connection keeps: some are there once for each number of rows."""

MIB = 1 << 20


def connect(
    path: Path,
    *,
    synchronous: Literal["FULL", "NORMAL"] = "FULL",
    readonly: bool = False,
    create: bool = True,
    cache_mib: int = 8,
    page_size: int = 4096,
    immutable: bool = False,
    checksums: bool = True,
) -> apsw.Connection:
    """Open the SQLite file `path` with a WAL and no automatic checkpoints.

    It is made if it is missing, for this user alone, unless `readonly` or not `create`; then each of its
    pages gets a checksum, unless not `checksums`: who opens a file says always the same. `FULL` means that a
    commit survives power loss, `NORMAL` that the file is then an older consistent state. `page_size` (bytes)
    counts when the file is made. A connection is for one thread at a time. Whoever may make the file must
    hold its `FairLock`. `immutable`: nobody changes the file meanwhile, and there is no WAL, so that reading
    it needs, and makes, nothing beside it.

    Raises `FormatError` if it is no SQLite file or can not be kept with its checksums, `DamagedFile`,
    `apsw.CantOpenError` if it cannot be opened, `apsw.ReadOnlyError` if it can only be read; what the disk
    refuses is one of `DISK_ERRORS`.
    """
    configure_sqlite()
    makes = create and not readonly
    access = apsw.SQLITE_OPEN_READONLY if readonly else apsw.SQLITE_OPEN_READWRITE
    if makes:
        _make(path)
    connection = _open(path, access, immutable, checksums)
    try:
        if not readonly and connection.readonly("main"):
            raise apsw.ReadOnlyError("this user may only read it")
        connection.pragma("page_size", page_size)
        if makes and checksums and not path.stat().st_size:
            reserve(connection)
        options: dict[str, int | str] = {"journal_mode": "wal"} if makes else {}
        options |= {"synchronous": synchronous, "cache_size": -cache_mib * 1024}
        _set_up(connection, options)
        if checksums:
            _require_checksums(connection, path, readonly=readonly)
    except BaseException as error:
        connection.close()
        raise _told(path, error) from None
    return connection


def _open(path: Path, access: int, immutable: bool, checksums: bool) -> apsw.Connection:
    name = f"{path.absolute().as_uri()}?immutable=1" if immutable else str(path)
    access |= apsw.SQLITE_OPEN_URI if immutable else 0
    vfs = checksum_vfs() if checksums else PLAIN_VFS
    try:
        return apsw.Connection(name, flags=access, vfs=vfs, statementcachesize=STATEMENTS)
    except NO_ACCESS as error:
        raise type(error)(f"{path}: {error}") from None


def _told(path: Path, error: BaseException) -> BaseException:
    """The error of setting up a connection, which names the file."""
    if isinstance(error, apsw.NotADBError):
        return FormatError(f"{path}: not a SQLite database; expected one written by DP³")
    if (found := damage(path, error)) is not None:
        return found
    if isinstance(error, (*NO_ACCESS, *DISK_ERRORS)):
        return type(error)(f"{path}: {error}")
    return error


def _require_checksums(connection: apsw.Connection, path: Path, *, readonly: bool) -> None:
    """Refuse a file whose checksums can not be compared although it has some, or not be kept right."""
    if has_checksums(connection):
        return
    if checksum_vfs() is None:
        if connection.reserve_bytes() == CHECKSUM_BYTES and not readonly:
            raise FormatError(
                f"{path}: its pages have checksums, which this installation of apsw can not keep right; "
                "install apsw from a wheel"
            )
    elif has_lost_mark(connection):
        raise damaged(path, "the mark of its checksums has been changed")


def _set_up(connection: apsw.Connection, options: Mapping[str, int | str]) -> None:
    """Set these options in their order, and what is the same for all connections."""
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    for name, value in options.items():
        connection.pragma(name, value)
    # Otherwise some statements are planned again for every row of parameters: 3 to 8 µs each.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    connection.wal_autocheckpoint(0)
    connection.pragma("foreign_keys", True)
    connection.pragma("schema_version")  # reads the file, so damage is found here


def _make(path: Path) -> None:
    """Make the file unless it is there: SQLite would let others read it. What SQLite keeps beside a file gets
    the mode of that.

    A file that is there is not opened: closing it would give up the locks of all connections to it that this
    process has."""
    with suppress(FileExistsError):
        os.close(open_file(path, os.O_RDWR | os.O_CREAT | os.O_EXCL))


class Transaction:
    """A block in which everything happens, or nothing."""

    __slots__ = ("_begin", "_connection")

    def __init__(self, connection: apsw.Connection, begin: str) -> None:
        self._connection = connection
        self._begin = begin

    def __enter__(self) -> None:
        self._connection.execute(self._begin)

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        try:
            if failure is None:
                self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def transaction(
    connection: apsw.Connection, mode: Literal["IMMEDIATE", "DEFERRED"] = "IMMEDIATE"
) -> Transaction:
    """Everything in the block happens, or nothing: `IMMEDIATE` to write, `DEFERRED` to read one state."""
    return Transaction(connection, f"BEGIN {mode}")


def bytes_in(files: Iterable[Path]) -> int:
    """Number of bytes that files take; those that go meanwhile do not count."""
    total = 0
    for file in files:
        with suppress(FileNotFoundError):
            total += file.stat().st_size
    return total


def check_format(connection: apsw.Connection, application_id: int, version: int, what: str) -> int:
    """The format version of the file, 0 if it is new and empty.

    `application_id` and `version` are those that this program writes, `what` is what the user calls the
    file ("the state", "a log segment"). Raises `OtherFormat` when the file is of another program or newer.
    """
    with connection:
        found_id = connection.pragma("application_id")
        found: int = connection.pragma("user_version")
        empty = connection.pragma("schema_version") == 0
    path = connection.filename
    if empty and found_id == 0 and found == 0:
        return 0
    notice_checksums(connection)
    if found_id != application_id:
        raise OtherFormat(
            f"{path}: expected {what} of DP³ (application id {application_id:#010x}), "
            f"got a file of another program ({found_id:#010x})"
        )
    if found > version:
        raise OtherFormat(
            f"{path}: {what} was written by a newer DP³ (format {found}, this program reads up to "
            f"{version}); use that version or newer"
        )
    return found


def stamp_format(connection: apsw.Connection, application_id: int, version: int) -> None:
    """Write what `check_format` reads; call it in the transaction that makes the schema."""
    connection.pragma("application_id", application_id)
    connection.pragma("user_version", version)
