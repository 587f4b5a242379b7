"""Directories and files that the program needs: made, kept from other users, and checked at its start."""

import errno
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from dp3.config.loading import Configuration, problem_at
from dp3.files import make_directory, open_file
from dp3.log.port import LogUnavailable
from dp3.sqlite import DISK_ERRORS, NO_ACCESS
from dp3.store.ports.errors import StoreUnavailable

PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""Errors that go when there is room again, so that another start may succeed."""

OTHERS = stat.S_IRWXG | stat.S_IRWXO
"""What a mode allows to other users."""

AUDIT_FILE = "audit.log"
"""Its name in the data directory; that of a rotated one begins with it."""

logger = logging.getLogger(__name__)


class Unusable(Exception):
    """A file or directory without which there is no start; the message names it. `passing`: another start may
    succeed although nobody does anything about it."""

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


@contextmanager
def needed_at_start() -> Iterator[None]:
    """Raise `Unusable` for what the disk or a server refuses in the block."""
    try:
        yield
    except (StoreUnavailable, LogUnavailable, *DISK_ERRORS) as error:
        raise Unusable(str(error), passing=True) from error
    except NO_ACCESS as error:
        raise Unusable(str(error)) from error
    except OSError as error:
        raise Unusable(_described(error), passing=error.errno in PASSING) from error


def make_private(root: Path, folders: list[Path]) -> None:
    """Make a data directory with its folders unless they are there, and keep other users out of what is.
    Neither what links lead to nor a directory that was there for other things is changed. Raises `Unusable`
    if this user can not write everything in it."""
    try:
        is_own = not root.exists() or _is_own(root, folders)
        for folder in (root, *folders):
            make_directory(folder)
        below = [*folders, *root.glob(f"{AUDIT_FILE}*")]
        below += [path for folder in folders for path in folder.rglob("*")]
        found = [*([root] if is_own else []), *(path for path in below if not path.is_symlink())]
    except OSError as error:
        message = f"the data directory {root} can not be used: {_described(error)}"
        raise Unusable(message, passing=error.errno in PASSING) from None
    for path in found:
        if not os.access(path, os.R_OK | os.W_OK, effective_ids=True):
            _refuse(root, path)
    _keep_from_others(root, found)


def _is_own(root: Path, folders: list[Path]) -> bool:
    """True if nothing else is in a directory, which then may be kept from others."""
    if root.stat().st_mode & stat.S_ISVTX:
        return False
    return all(path in folders or path.name.startswith(AUDIT_FILE) for path in root.iterdir())


def open_lock(path: Path) -> IO[str]:
    """A file to be locked, made with its directory if it is missing. Raises `Unusable`."""
    with needed_at_start():
        make_directory(path.parent)
        return os.fdopen(open_file(path, os.O_RDWR | os.O_CREAT), "w")


def require_archive(config: Configuration) -> None:
    """Raises `Unusable` if raw data is to be archived where nothing can be written."""
    directory = config.history_manager.datapoint_archivation.archive_dir
    if directory is None:
        return
    try:
        with TemporaryFile(dir=directory):
            pass
    except OSError as error:
        if error.errno in PASSING:
            return
        setting = ("history_manager", "datapoint_archivation", "archive_dir")
        message = f"{directory.absolute()} can not be written: {error.strerror}; make the directory, or let "
        message += f"user {os.geteuid()} write in it"
        raise Unusable(str(problem_at(config.path, setting, message))) from None


def _described(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)


def _refuse(root: Path, path: Path) -> None:
    """Raises `Unusable`, unless the file has gone meanwhile."""
    with suppress(FileNotFoundError):
        if os.statvfs(path).f_flag & os.ST_RDONLY:
            why = "its file system is read-only"
        else:
            why = f"user {os.geteuid()} can not write {path}, which belongs to user {path.stat().st_uid}"
        raise Unusable(f"the data directory {root} can not be used: {why}")


def _keep_from_others(root: Path, found: list[Path]) -> None:
    narrowed = left = 0
    for path in found:
        with suppress(FileNotFoundError):
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & OTHERS:
                try:
                    path.chmod(mode & ~OTHERS)
                    narrowed += 1
                except PermissionError:
                    left += 1
    if narrowed:
        logger.warning("%s: other users could open %d of its files and folders; not any more", root, narrowed)
    if left:
        logger.warning("%s: %d of its files and folders belong to others, and stay open to them", root, left)
    owner, user = root.stat().st_uid, os.geteuid()
    if user == 0 and owner != user:
        logger.warning("%s belongs to user %d, who can not open what root makes in it", root, owner)
