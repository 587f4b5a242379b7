"""Segments of older formats become ones of this format, when a lane is opened."""

from collections.abc import Iterator
from contextlib import closing

import apsw

from dp3.log.checksums import entry_checksum
from dp3.log.sqlite.head import Extent, HeadFile
from dp3.log.sqlite.segments import APPLICATION_ID, FORMAT, Columns, SegmentFiles
from dp3.sqlite import damage_named, rewrite, stamp_format

TABLES = ("segment", "entry", "producer", "idempotency")


def bring_up(files: SegmentFiles, note: HeadFile) -> None:
    """Rewrite the segments of format 1, oldest first, each by itself: killed at any moment, each is old or
    new and complete. The note of what the lane has comes before, as long as it is known that an older
    program made none; who finds none beside new segments alone has lost it. Of those of format 2 the last
    one is rewritten: no older program that has the lane open may find what it can not read.

    Called under the lane's lock, before anything else. Raises what `rewrite` does."""
    firsts = files.firsts()
    formats = {first: files.format(first) for first in firsts}
    older = [first for first in firsts if formats[first] == 1]
    if older and note.read() is None and older[-1] == firsts[-1]:
        note.write(Extent(firsts[0], *_end(files, firsts[-1])))
        note.sync()
    for first in older:
        rewrite(files.path(first), lambda copy: _change(copy, files), checksums=False)
    if firsts and formats[firsts[-1]] == 2:
        rewrite(files.path(firsts[-1]), _stamp, checksums=False)


def _end(files: SegmentFiles, first: int) -> tuple[int, int, int]:
    """Offset, order and total at the end of a segment of format 1."""
    with closing(files.connect(first)) as connection, damage_named(files.path(first)):
        offset, order, total = connection.execute(files.sql["end_of_format_1"]).get
        return offset, order, total


def _change(copy: apsw.Connection, files: SegmentFiles) -> None:
    for table in TABLES:
        copy.execute(f"ALTER TABLE {table} RENAME TO {table}_1")
    copy.execute(files.sql["schema"])
    segment = copy.execute(files.sql["segment_of_format_1"]).get
    copy.executemany(files.sql["insert_segment"], files.with_checksums([segment[:-1]]))
    if segment[-1]:
        copy.execute(files.sql["seal"])
    copy.executemany(files.sql["insert_entry"], _entries(copy, files))
    for old, new in (("producers", "set_producer_key"), ("keys", "set_idempotency_key")):
        rows = copy.execute(files.sql[f"{old}_of_format_1"]).fetchall()
        copy.executemany(files.sql[new], files.with_checksums(rows))
    for table in TABLES:
        copy.execute(f"DROP TABLE {table}_1")
    _stamp(copy)


def _stamp(copy: apsw.Connection) -> None:
    stamp_format(copy, APPLICATION_ID, FORMAT)


def _entries(copy: apsw.Connection, files: SegmentFiles) -> Iterator[Columns]:
    for *numbers, body in copy.execute(files.sql["entries_of_format_1"]):
        offset, order, append_time, latest, total = numbers
        checksum = entry_checksum(files.lane, offset, order, append_time, latest, total, body)
        yield (*numbers, checksum, body)
