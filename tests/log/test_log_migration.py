"""Logs of the former format: they become ones of this format when they are opened, whatever happens
meanwhile."""

import random
import subprocess
import sys
import time
from pathlib import Path

import apsw
import pytest

from dp3.clock import FakeClock
from dp3.log.framing import frame
from dp3.log.port import Append, Lane, Log, LogIncomplete, OutboxSlice, Producer
from dp3.log.sqlite import open_log, verify_log
from dp3.log.sqlite.segments import APPLICATION_ID
from dp3.sqlite import FormatError

BACKENDS = ("sqlite",)

SCHEMA = """
CREATE TABLE segment (
    id INTEGER PRIMARY KEY CHECK (id = 1), first INTEGER NOT NULL, base_time INTEGER NOT NULL,
    base_total INTEGER NOT NULL, created INTEGER NOT NULL, sealed INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE entry (
    offset INTEGER PRIMARY KEY, append_time INTEGER NOT NULL, total INTEGER NOT NULL, body BLOB NOT NULL
) STRICT;
CREATE TABLE producer (
    partition INTEGER NOT NULL, lane INTEGER NOT NULL, key INTEGER NOT NULL, PRIMARY KEY (partition, lane)
) STRICT, WITHOUT ROWID;
CREATE TABLE idempotency (
    key TEXT PRIMARY KEY, digest BLOB NOT NULL, offset INTEGER NOT NULL, append_time INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""

SEGMENTS, ENTRIES = 5, 40
EVERYTHING = 1 << 40
START_US = 1_600_000_000_000_000
KILLS = 12


def body_of(lane: Lane, offset: int) -> bytes:
    return f"{lane.name} {offset} ".encode() * 500


def make_older(directory: Path) -> None:
    """A log of format 1 with some segments in each lane."""
    for lane in Lane:
        folder = directory / "log" / lane.name.lower()
        folder.mkdir(parents=True)
        total = 0
        for number in range(SEGMENTS):
            first = number * ENTRIES + 1
            connection = apsw.Connection(str(folder / f"{first:020d}.seg"), vfs="unix")
            connection.pragma("journal_mode", "wal")
            connection.execute(SCHEMA)
            row = (first, time_of(lane, first - 1), total, START_US, number < SEGMENTS - 1)
            connection.execute("INSERT INTO segment VALUES (1, ?, ?, ?, ?, ?)", row)
            for offset in range(first, first + ENTRIES):
                body = frame({0: body_of(lane, offset)})
                total += len(body)
                row = (offset, time_of(lane, offset), total, body)
                connection.execute("INSERT INTO entry VALUES (?, ?, ?, ?)", row)
                key = (f"key {offset}", b"digest", offset, time_of(lane, offset))
                connection.execute("INSERT INTO idempotency VALUES (?, ?, ?, ?)", key)
            connection.execute("INSERT INTO producer VALUES (3, 0, ?)", (first + ENTRIES - 1,))
            connection.pragma("application_id", APPLICATION_ID)
            connection.pragma("user_version", 1)
            connection.close()


def time_of(lane: Lane, offset: int) -> int:
    return START_US + 2 * offset + lane


def require_everything(log: Log) -> None:
    for lane in Lane:
        entries = log.read(lane, 0, EVERYTHING)
        assert [entry.offset for entry in entries] == list(range(1, SEGMENTS * ENTRIES + 1))
        for entry in entries:
            assert (entry.damage, entry.slices) == ("", {0: body_of(lane, entry.offset)})
            assert entry.order == entry.append_time == time_of(lane, entry.offset)
        assert log.head(lane).bytes == sum(entry.size for entry in entries)


def test_an_older_log_has_everything_and_goes_on(tmp_path: Path) -> None:
    make_older(tmp_path)
    log = open_log(tmp_path, FakeClock(START_US + 10_000))
    require_everything(log)
    (again,) = log.append([Append([{0: b"x"}], ("key 7", b"digest"))])
    assert (getattr(again, "repeated", False), again.offset) == (True, 7)  # type: ignore[union-attr]
    last = SEGMENTS * ENTRIES
    assert log.append_outbox([OutboxSlice(Producer(3, 0), last, {0: b"old"})], 0) is None
    log.append([Append([{0: b"new"}])])
    assert log.head(Lane.MAIN).order > time_of(Lane.DERIVED, last)
    log.close()
    assert list(verify_log(tmp_path)) == []


def test_a_segment_that_is_in_use_by_an_older_program_is_not_touched(tmp_path: Path) -> None:
    make_older(tmp_path)
    path = sorted((tmp_path / "log" / "main").glob("*.seg"))[-1]
    with apsw.Connection(str(path), vfs="unix") as older:
        older.execute("SELECT * FROM entry LIMIT 1").fetchall()
        with pytest.raises(FormatError, match="stop all processes of the old version"):
            open_log(tmp_path, FakeClock(START_US))
        assert older.execute("PRAGMA user_version").get == 1
    older.close()
    log = open_log(tmp_path, FakeClock(START_US))
    require_everything(log)
    log.close()


@pytest.mark.parametrize("lane", list(Lane))
def test_a_start_that_ends_before_all_segments_are_rewritten_has_noted_what_the_log_must_have(
    tmp_path: Path, lane: Lane
) -> None:
    """An older process that has the last segment open ends it, where it is through with all others."""
    make_older(tmp_path)
    folder = tmp_path / "log" / lane.name.lower()
    *_, path = sorted(folder.glob("*.seg"))
    with apsw.Connection(str(path), vfs="unix") as older:
        older.execute("SELECT * FROM entry LIMIT 1").fetchall()
        with pytest.raises(FormatError, match="stop all processes of the old version"):
            open_log(tmp_path, FakeClock(START_US))
    older.close()
    path.unlink()
    lost = f"entries {(SEGMENTS - 1) * ENTRIES + 1} to {SEGMENTS * ENTRIES}"
    with pytest.raises(LogIncomplete, match=f"{lost} are missing"):
        open_log(tmp_path, FakeClock(START_US))


def test_an_older_segment_without_entries_at_the_end_is_brought_up(tmp_path: Path) -> None:
    make_older(tmp_path)
    for path in (tmp_path / "log").rglob(f"{(SEGMENTS - 1) * ENTRIES + 1:020d}.seg"):
        with apsw.Connection(str(path), vfs="unix") as older:
            older.execute("DELETE FROM entry")
        older.close()
    for _ in range(2):
        log = open_log(tmp_path, FakeClock(START_US))
        head = log.head(Lane.MAIN)
        assert head[::2] == ((SEGMENTS - 1) * ENTRIES, time_of(Lane.MAIN, (SEGMENTS - 1) * ENTRIES))
        log.close()


def make_format_2(directory: Path, segments: int) -> None:
    """A log of the former format: the same, but that no body is compressed."""
    log = open_log(directory, FakeClock(START_US), segment_bytes=1)
    for number in range(segments):
        log.append([Append([{0: f"{number}".encode()}])])
        log.append_outbox([OutboxSlice(Producer(3, 0), number, {0: b"derived"})], 0)
    log.close()
    for path in (directory / "log").rglob("*.seg"):
        with apsw.Connection(str(path), vfs="unix") as segment:
            segment.pragma("user_version", 2)
        segment.close()


def formats(directory: Path) -> list[int]:
    found = []
    for path in sorted((directory / "log" / "main").glob("*.seg")):
        with apsw.Connection(str(path), vfs="unix") as segment:
            found.append(segment.pragma("user_version"))
        segment.close()
    return found


def test_segments_of_format_2_are_read_as_they_are_and_the_last_one_is_rewritten(tmp_path: Path) -> None:
    make_format_2(tmp_path, 3)
    assert list(verify_log(tmp_path)) == []
    log = open_log(tmp_path, FakeClock(START_US))
    assert formats(tmp_path) == [2, 2, 3]
    log.append([Append([{0: body_of(Lane.MAIN, 4)}])])
    entries = log.read(Lane.MAIN, 0, EVERYTHING)
    assert [entry.slices[0] for entry in entries] == [b"0", b"1", b"2", body_of(Lane.MAIN, 4)]
    assert log.append_outbox([OutboxSlice(Producer(3, 0), 2, {0: b"old"})], 0) is None
    log.close()
    assert list(verify_log(tmp_path)) == []


def test_a_log_of_format_2_that_an_older_program_has_open_is_not_touched(tmp_path: Path) -> None:
    make_format_2(tmp_path, 2)
    *_, path = sorted((tmp_path / "log" / "main").glob("*.seg"))
    with apsw.Connection(str(path), vfs="unix") as older:
        older.execute("SELECT * FROM entry LIMIT 1").fetchall()
        with pytest.raises(FormatError, match="stop all processes of the old version"):
            open_log(tmp_path, FakeClock(START_US))
    older.close()
    assert formats(tmp_path) == [2, 2]


OPEN = """
import sys
from pathlib import Path
from dp3.clock import FakeClock
from dp3.log.sqlite import open_log

print("begins", flush=True)
open_log(Path(sys.argv[1]), FakeClock())
print("done", flush=True)
"""


def test_whenever_it_is_killed_the_log_is_brought_up_at_the_next_start(tmp_path: Path) -> None:
    make_older(tmp_path)
    chance = random.Random(2)
    for _ in range(KILLS):
        child = subprocess.Popen(
            [sys.executable, "-c", OPEN, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "begins\n"
        time.sleep(chance.random() * 0.05)
        child.kill()
        child.communicate()
    log = open_log(tmp_path, FakeClock(START_US))
    require_everything(log)
    log.close()
    assert list(verify_log(tmp_path)) == []
    leftovers = [path.name for path in (tmp_path / "log").rglob("*.new*")]
    assert leftovers == []
