"""Looking for damage in a database file and in its write-ahead log, without changing anything."""

from collections.abc import Iterator
from pathlib import Path

import apsw

from dp3.files import FormatError
from dp3.sqlite.checksums import has_checksums, is_intact
from dp3.sqlite.connection import DISK_ERRORS, NO_ACCESS, connect
from dp3.sqlite.damage import DAMAGE
from dp3.sqlite.wal import WalContent, read_wal

MOST_TOLD = 20
"""Damaged places of a file that are told one by one."""

PAGES = 255
"""Pages that are read at once. SQLite compares checksums where it reads a power of two of bytes."""


def verify_file(path: Path) -> list[str]:
    """The faults of a database file, one sentence each; empty if nothing is.

    Reads all of it: the checksum of each page, the structure, and the write-ahead log beside it if there is
    one. Changes neither, nor leaves anything beside a file that was closed in order, and may be asked while
    others read the file; where somebody writes it, pages that change meanwhile may be told as damaged.
    """
    beside = path.with_name(path.name + "-wal")
    wal = read_wal(beside)
    problems = [f"{beside}: {wal.problem}"] if wal.problem else []
    try:
        connection = connect(path, readonly=True, immutable=not beside.exists())
    except (FormatError, *NO_ACCESS, *DISK_ERRORS) as error:
        return [*problems, str(error)]
    try:
        found = list(_bad_pages(connection, path, wal)) if has_checksums(connection) else []
        found += [] if found else _structure(connection, path)
        return problems + found
    finally:
        connection.close()


def _bad_pages(connection: apsw.Connection, path: Path, wal: WalContent) -> Iterator[str]:
    """Pages whose checksum is wrong; what the write-ahead log replaces does not count."""
    connection.pragma("checksum_verification", False)  # so that reading goes on behind the first one
    told = 0
    for page, content in _pages(connection):
        if page in wal.pages or is_intact(connection, content):
            continue
        told += 1
        if told <= MOST_TOLD:
            yield f"{path}: page {page}, at byte {(page - 1) * len(content)}, does not have its checksum"
    if told > MOST_TOLD:
        yield f"{path}: {told - MOST_TOLD} further pages do not have their checksums"


def _pages(connection: apsw.Connection) -> Iterator[tuple[int, bytes]]:
    """All pages of the file itself, with their numbers; behind its end, some of zeros, which are right. They
    are read by SQLite: opening the file in another way would, when it is closed, give up the locks that this
    process has on it."""
    size: int = connection.pragma("page_size")
    page, complete = 1, True
    while complete:
        complete, content = connection.read("main", 0, (page - 1) * size, PAGES * size)
        for at in range(0, len(content) - size + 1, size):
            yield page, content[at : at + size]
            page += 1


def _structure(connection: apsw.Connection, path: Path) -> list[str]:
    try:
        rows = connection.execute(f"PRAGMA integrity_check({MOST_TOLD})").fetchall()
    except DAMAGE as error:
        return [f"{path}: {error}"]
    return [] if rows == [("ok",)] else [f"{path}: {text}" for (text,) in rows]
