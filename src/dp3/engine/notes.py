"""Notes of a worker for its successor: small files that outlive its death, but not a clean stop.

Death of the machine does not matter here, so nothing is fsynced.
"""

import os
from pathlib import Path
from typing import TypeVar

import msgspec

from dp3.files import make_directory, open_file

T = TypeVar("T", bound=msgspec.Struct)


class NoteFile:
    """The file of one note. A note takes the place of the one before."""

    def __init__(self, path: Path) -> None:
        make_directory(path.parent)
        self._path = path
        self._file: int | None = open_file(path, os.O_RDWR | os.O_CREAT)

    def write(self, note: msgspec.Struct) -> None:
        """Keep a note; it is there when this returns, whatever happens to the process. Nothing is kept once
        the file was closed: hooks may return after the worker has given them up."""
        if self._file is not None:
            os.pwrite(self._file, msgspec.json.encode(note) + b"\n", 0)

    def close(self, *, clean: bool) -> None:
        """If `clean`, nothing is under way: no note is left."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)
        if clean:
            self._path.unlink(missing_ok=True)


def read_note(path: Path, kind: type[T]) -> T | None:
    """The note in a file; None if there is none, or none that this version can read."""
    file = path.read_bytes() if path.exists() else b""
    try:
        return msgspec.json.decode(file.partition(b"\n")[0], type=kind)
    except (ValueError, RecursionError):
        return None
