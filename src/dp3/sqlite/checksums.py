"""A checksum in each page of our files, so that what the disk has changed is not taken for what was written.

SQLite's own extension does it (`cksumvfs`): a layer between SQLite and the files that writes a checksum into
the last eight bytes of each page and compares it whenever a page is read. It works for files that keep those
eight bytes free in their pages, which is settled when a file is made (`reserve`), and leaves others alone.
"""

import logging
import threading
from functools import cache
from pathlib import Path

import apsw

from dp3.sqlite.configuring import configure_sqlite

CHECKSUM_BYTES = 8

HEADER_BYTES = 100

VFS = "cksmvfs"
"""The name of the layer in SQLite."""

PLAIN_VFS = "unix"
"""The layer below."""

RESERVED_AT = 20
"""The byte of the header of a file that says how many bytes its pages keep free; for us that means: it has
checksums."""

logger = logging.getLogger(__name__)

_registering = threading.Lock()


def checksum_vfs() -> str | None:
    """The name by which connections get checksums, None where `apsw` was built without the extension.

    The first call registers it for the process, later ones cost nothing. Then it is also what SQLite takes
    for connections of others in this process, which makes no difference to their files."""
    with _registering:  # registering twice at once would make a layer that calls itself
        return _registered()


@cache
def _registered() -> str | None:
    configure_sqlite()
    try:
        from apsw import sqlite_extra

        carrier = apsw.Connection(":memory:")
        try:
            sqlite_extra.load(carrier, "cksumvfs")
        finally:
            carrier.close()
    except (
        Exception
    ) as error:  # what is missing differs: the module, the library, loading of extensions at all
        logger.warning(
            "files are written without checksums, so that damage by the disk may go unnoticed: this "
            "installation of apsw has no 'cksumvfs' (%s); install apsw %s from a wheel",
            error,
            apsw.apsw_version(),
        )
        return None
    return VFS


def reserve(connection: apsw.Connection) -> None:
    """Have a file that is still empty, or a copy of one by `VACUUM INTO`, keep room for checksums."""
    if checksum_vfs():
        connection.reserve_bytes(reserve=CHECKSUM_BYTES)


def has_checksums(connection: apsw.Connection) -> bool:
    """True if the pages of the file have checksums that are compared when they are read."""
    verification: str | None = connection.pragma("checksum_verification")
    return verification == "1"


def notice_checksums(connection: apsw.Connection) -> None:
    """Have a connection that was opened when the file was still empty learn that it has checksums by now.
    (Others learned it when they were opened.)"""
    connection.read("main", 0, 0, HEADER_BYTES)


def has_lost_mark(connection: apsw.Connection) -> bool:
    """True if a file that seems to be without checksums has them: then it is its mark that was changed, and
    nothing else would be noticed any more."""
    complete, page = connection.read("main", 0, 0, connection.pragma("page_size"))
    if not complete or page[RESERVED_AT] == CHECKSUM_BYTES:  # empty, or not any more
        return False
    return is_intact(connection, page[:RESERVED_AT] + bytes([CHECKSUM_BYTES]) + page[RESERVED_AT + 1 :])


def is_intact(connection: apsw.Connection, page: bytes) -> bool:
    """True if a page has the checksum of its content."""
    return bool(connection.execute("SELECT verify_checksum(?)", (page,)).get)


def connect_plainly(path: Path) -> apsw.Connection:
    """A connection that neither compares nor writes checksums, to an existing file."""
    return apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=PLAIN_VFS)


def write_checksums(path: Path, connection: apsw.Connection) -> int:
    """Write the checksums that pages lack in a file that has room for them; returns how many pages did. The
    connection is a plain one, and alone with the file.

    `VACUUM` with room for checksums does not do it: pages that leave the cache before the first page has been
    written get none."""
    flags = [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READWRITE, 0]
    size: int = connection.pragma("page_size")
    pages = apsw.VFSFile(VFS, str(path.absolute()), flags)
    try:
        at = written = 0
        while (found := connection.read("main", 0, at, size))[0]:
            lacks = not is_intact(connection, found[1])
            if lacks or at == 0:  # by the first page the layer learns that there are checksums
                pages.xWrite(found[1], at)
            written += lacks
            at += size
        pages.xSync(apsw.SQLITE_SYNC_NORMAL)
        return written
    finally:
        pages.xClose()
