"""Looking for damage in a log that nobody uses, without changing anything."""

from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import apsw

from dp3.log.port import Lane
from dp3.log.sqlite.head import HeadFile
from dp3.log.sqlite.reading import LaneReader
from dp3.log.sqlite.segments import READABLE, SegmentFiles, SegmentMissing
from dp3.log.sqlite.wholeness import missing_in
from dp3.sqlite import FormatError, verify_file

READ_BYTES = 8 << 20


def verify_log(directory: Path) -> Iterator[str]:
    """The faults of the log in `directory`/log, one sentence each; nothing if all of it is as it was
    written.

    Reads every entry. The structure of a segment of an older format is looked at; it has no checksums."""
    for lane in Lane:
        folder = directory / "log" / lane.name.lower()
        if not folder.is_dir():
            yield f"{folder}: there is no such directory"
            continue
        files = SegmentFiles(lane, folder, readonly=True)
        try:
            yield from _problems(files)
        finally:
            files.close()


def log_extents(directory: Path) -> dict[Lane, tuple[int, int]]:
    """The first and the last offset of each lane of the log in `directory`/log, as far as that is noted."""
    extents: dict[Lane, tuple[int, int]] = {}
    for lane in Lane:
        note = HeadFile(directory / "log" / lane.name.lower(), readonly=True)
        with closing(note), suppress(FormatError):
            if (extent := note.read()) is not None:
                extents[lane] = extent.begin, extent.offset
    return extents


def _problems(files: SegmentFiles) -> Iterator[str]:
    firsts = files.firsts()
    for first in firsts:
        yield from verify_file(files.path(first))
    if any(files.format(first) not in READABLE for first in firsts):
        return
    try:
        yield from (f"{files.directory}: {problem}" for problem in missing_in(files))
        yield from _damaged_entries(files)
    except (FormatError, SegmentMissing, apsw.Error) as error:
        yield f"{files.directory}: {error}"


def _damaged_entries(files: SegmentFiles) -> Iterator[str]:
    reader = LaneReader(files.lane, files)
    segments = reader.segments()
    after = segments[0] - 1 if segments else 0
    while segments and (entries := reader.read(after, READ_BYTES)):
        after = entries[-1].offset
        yield from (f"{files.directory}: {entry.damage}" for entry in entries if entry.damage)
    for first in segments:
        with closing(files.open(first)) as connection:
            damaged = len(list(files.damaged_rows(connection)))
        if damaged:
            yield f"{files.path(first)}: {damaged} notes of what was appended before are damaged"
