"""A note of what a lane must have, beside its segments, so that one that has lost some of them is not taken
for whole.

SQLite takes a write-ahead log that is gone or damaged for one that ends there, and a directory does not know
which files it had. So every append notes where the lane ends, and every removal, before it, where the lane
begins. After power loss the note may be older than the segments, never newer.
"""

import os
import struct
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from dp3.files import open_file, sync_path
from dp3.sqlite import FormatError

_FORM = struct.Struct("<8s4qI")
_MAGIC = b"DP3head\x02"


class Extent(NamedTuple):
    """First offset that is kept; offset, order and total of the last entry."""

    begin: int
    offset: int
    order: int
    total: int


EMPTY = Extent(begin=1, offset=0, order=0, total=0)


class HeadFile:
    """The note of one lane. Whoever writes holds the lane's lock."""

    def __init__(self, directory: Path, *, readonly: bool = False) -> None:
        self.path = directory / "head"
        self._access = os.O_RDONLY if readonly else os.O_RDWR
        self._file = -1

    def read(self) -> Extent | None:
        """The extent that the lane must have; None if there is no note. Raises `FormatError` if it is
        damaged."""
        try:
            data = os.pread(self._open(), _FORM.size + 1, 0)
        except FileNotFoundError:
            return None
        if not data:  # a disk that was full when it was made
            return None
        if len(data) == _FORM.size:
            magic, *numbers, checksum = _FORM.unpack(data)
            if magic == _MAGIC and checksum == crc32(data[:-4]):
                return Extent(*numbers)
        raise FormatError(f"{self.path}: the note of where the log ends is damaged")

    def write(self, extent: Extent) -> None:
        """Replace the note. It reaches the disk some time later; a process that is killed loses none of
        it."""
        data = _FORM.pack(_MAGIC, *extent, 0)[:-4]
        os.pwrite(self._open(os.O_CREAT), data + struct.pack("<I", crc32(data)), 0)

    def sync(self) -> None:
        """Have the note on the disk, and that it is there."""
        os.fsync(self._open())
        sync_path(self.path.parent)

    def close(self) -> None:
        """Give back the file. May be called again."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def _open(self, flags: int = 0) -> int:
        """The file; another process may have replaced it, or somebody removed it."""
        if self._file >= 0 and os.fstat(self._file).st_nlink == 0:
            self.close()
        if self._file < 0:
            self._file = open_file(self.path, self._access | flags)
        return self._file
