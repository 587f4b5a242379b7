"""Errors of SQLite that mean a damaged file, told apart from those of a full disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import apsw

from dp3.files import DamagedFile

DAMAGE = (apsw.CorruptError, apsw.NotADBError, apsw.IOError)
"""Errors that may mean a damaged file; `damage` knows."""

_CHECKSUM_FAULTS = (apsw.SQLITE_IOERR_DATA, apsw.SQLITE_IOERR_CORRUPTFS)


def damage(path: Path, error: BaseException) -> DamagedFile | None:
    """The error to be raised in place of one of SQLite if it means that the file is damaged."""
    if isinstance(error, apsw.IOError):
        if getattr(error, "extendedresult", 0) not in _CHECKSUM_FAULTS:
            return None
        return damaged(path, "the checksum of a page is wrong")
    return damaged(path, str(error)) if isinstance(error, DAMAGE) else None


def damaged(path: Path, why: str) -> DamagedFile:
    """The error that names a file and says what to do about it."""
    return DamagedFile(
        f"{path}: the file is damaged ({why}); restore it from a copy. What can be read of it is not wrong; "
        "`dp3 check CONFIG --data-dir DIR` tells how much is damaged"
    )


def raise_damage(path: Path, error: Exception) -> NoReturn:
    """Raise `DamagedFile` in place of an error of SQLite that means it, otherwise the error."""
    found = damage(path, error)
    if found is not None:
        raise found from error
    raise error


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Errors of SQLite in the block that mean damage are raised as `DamagedFile`. For where microseconds do
    not count."""
    try:
        yield
    except DAMAGE as error:
        raise_damage(path, error)
