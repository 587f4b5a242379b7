"""Files that the program appends lines to, and that other programs may move away at any time."""

import logging
import os
import threading
import time
from pathlib import Path

LOOK_EVERY_S = 1.0
"""After a file was renamed or removed, lines go on to it for so long."""

SHARED_MODE = 0o666
"""Of files that others may read, less what the umask takes away."""

logger = logging.getLogger(__name__)


class LineFile:
    """Appends whole lines to a file, made if it is missing; any number of threads and processes may do so.

    When the file is renamed or removed, as programs do that rotate logs, a new one is made under its name.
    """

    def __init__(self, path: Path, mode: int = SHARED_MODE) -> None:
        """Raises `OSError` if the file can not be made or written."""
        self.path = path.absolute()
        self._mode = mode
        self._mutex = threading.Lock()
        self._file = self._open()
        self._next_look = 0.0
        self._torn = False

    def write(self, lines: str) -> None:
        """Append lines, each with its newline, in one piece. Raises `OSError` when the disk refuses them, or
        a removed file can not be made anew; of a line that was written in part, the rest is left out."""
        with self._mutex:
            if time.monotonic() >= self._next_look:
                self._follow_name()
            self._write(lines.encode("utf-8", "backslashreplace"))

    def reopen(self) -> None:
        """Close the file and open what has its name now. Raises `OSError` and keeps the file if that fails.
        A closed one stays closed."""
        with self._mutex:
            if self._file >= 0:
                self._reopen()

    def close(self) -> None:
        """Give back the file; it can not be written any more."""
        with self._mutex:
            os.close(self._file)
            self._file = -1

    def _write(self, lines: bytes) -> None:
        rest = memoryview(b"\n" + lines if self._torn else lines)
        while rest:
            written = os.write(self._file, rest)
            rest = rest[written:]
            # What follows a line that was written in part must not become its end.
            self._torn = bool(rest)

    def _follow_name(self) -> None:
        if not self._has_name():
            try:
                self._reopen()
            except OSError:
                # Who moved the file away may be about to make a new one that this user can write.
                if os.fstat(self._file).st_nlink == 0:
                    raise
        self._next_look = time.monotonic() + LOOK_EVERY_S

    def _has_name(self) -> bool:
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._file))
        except OSError:
            return False

    def _reopen(self) -> None:
        opened = self._open()
        os.close(self._file)
        self._file, self._torn = opened, False

    def _open(self) -> int:
        # What only this user may read must not be written where somebody else's link leads.
        links = 0 if self._mode == SHARED_MODE else os.O_NOFOLLOW
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | links, self._mode)


class LineFiles:
    """The open files of a process, all opened anew at SIGHUP."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._files: list[LineFile] = []

    def open(self, path: Path, mode: int = SHARED_MODE) -> LineFile:
        """A file that is opened anew by `reopen` from now on. Raises `OSError`."""
        file = LineFile(path, mode)
        with self._mutex:
            self._files.append(file)
        return file

    def reopen(self) -> None:
        """Open all files anew. What can not be opened is logged, and goes on in its old file."""
        with self._mutex:
            files = list(self._files)
        for file in files:
            try:
                file.reopen()
            except OSError as error:
                logger.error("%s: not opened again, the old file goes on: %s", file.path, error.strerror)
