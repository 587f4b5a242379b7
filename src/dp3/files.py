"""Files and directories that only the user of the program can read, whatever its umask, and that last."""

import os
from pathlib import Path

DIRECTORY_MODE, FILE_MODE = 0o700, 0o600


class FormatError(Exception):
    """A file is not what it should be: of another program, of a newer version, no SQLite file, damaged.
    Starting again does not help."""


class OtherFormat(FormatError):
    """A file is of another program, or of a newer version."""


class DamagedFile(FormatError):
    """A file holds something else than was written to it. The message names the file and says what to do.

    Raised wherever such a place is read, instead of an answer that may be wrong; all else in the file can
    still be read."""


def make_directory(path: Path, mode: int = DIRECTORY_MODE) -> None:
    """Make a directory unless it is there, so that it survives power loss. Those above it that are missing
    get the mode that the umask gives. Raises `OSError`."""
    if path.is_dir():
        return
    make_directory(path.parent, 0o777)
    path.mkdir(mode, exist_ok=True)
    sync_path(path.parent)


def open_file(path: Path, flags: int) -> int:
    """`os.open` of a file that is made for this user alone if it is missing and `flags` say so; no program
    that is started gets it. Raises `OSError`."""
    return os.open(path, flags | os.O_CLOEXEC, FILE_MODE)


def sync_path(path: Path) -> None:
    """Have a file, or a directory (which files it has), written to the disk. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
