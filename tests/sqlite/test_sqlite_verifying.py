"""`verify_file` finds damage, and changes nothing."""

import random
import shutil
from pathlib import Path

import apsw
import pytest

from dp3.sqlite import connect, transaction, verify_file
from kit.flips import flip, without_checksums

PAGE = 4096


def add(connection: apsw.Connection, numbers: range) -> None:
    with transaction(connection):
        connection.execute("CREATE TABLE IF NOT EXISTS t (k INTEGER PRIMARY KEY, v TEXT)")
        connection.execute("CREATE INDEX IF NOT EXISTS i ON t (v)")
        rows = ((n, f"value-{n:06d}-" + "x" * 200) for n in numbers)
        connection.executemany("INSERT OR REPLACE INTO t VALUES (?, ?)", rows)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that was closed in order."""
    connection = connect(tmp_path / "a.db")
    add(connection, range(5_000))
    connection.close()
    return tmp_path / "a.db"


@pytest.fixture
def crashed(tmp_path: Path, path: Path) -> Path:
    """A file as a crash leaves it: with a write-ahead log of ten commits, not all of it in the file."""
    connection = connect(path)
    for n in range(5):
        add(connection, range(n * 500, n * 500 + 50))
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    for n in range(5, 10):
        add(connection, range(n * 500, n * 500 + 50))
    (tmp_path / "crashed").mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", tmp_path / "crashed")
    connection.close()
    return tmp_path / "crashed" / "a.db"


def contents(path: Path) -> dict[str, bytes]:
    return {
        suffix: Path(f"{path}{suffix}").read_bytes()
        for suffix in ("", "-wal")
        if Path(f"{path}{suffix}").exists()
    }


def test_nothing_is_wrong_with_a_file_as_it_was_written(path: Path, crashed: Path) -> None:
    for each in (path, crashed):
        before = contents(each)
        assert verify_file(each) == []
        assert contents(each) == before


def test_every_changed_page_is_told_with_its_place(path: Path) -> None:
    pages = [3, 30, 200]
    for page in pages:
        flip(path, (page - 1) * PAGE + 2_000)
    before = contents(path)
    expected = [f"{path}: page {n}, at byte {(n - 1) * PAGE}, does not have its checksum" for n in pages]
    assert verify_file(path) == expected
    assert contents(path) == before


def test_many_changed_pages_are_counted(path: Path) -> None:
    for page in range(2, 102):
        flip(path, (page - 1) * PAGE + 7)
    problems = verify_file(path)
    assert len(problems) == 21
    assert problems[-1] == f"{path}: 80 further pages do not have their checksums"


def test_any_changed_byte_is_found(path: Path) -> None:
    chance = random.Random(41)
    content = path.read_bytes()
    for at in (*range(100), *(chance.randrange(len(content)) for _ in range(100))):
        path.write_bytes(content)
        flip(path, at, mask=1 << chance.randrange(8))
        assert verify_file(path) != [], at


def test_a_file_that_misses_its_end_or_is_none_is_told(path: Path, tmp_path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: 50 * PAGE])
    assert "the file is damaged" in verify_file(path)[0]
    path.write_bytes(b"x" * 9_999)
    assert "not a SQLite database" in verify_file(path)[0]
    assert "unable to open" in verify_file(tmp_path / "none.db")[0]


def test_the_structure_of_a_file_without_checksums_is_checked(path: Path) -> None:
    without_checksums(path, 0)
    assert verify_file(path) == []
    flip(path, 9 * PAGE, mask=0xFF)
    assert verify_file(path) != []


def test_pages_that_the_write_ahead_log_replaces_do_not_count(crashed: Path) -> None:
    connection = connect(crashed.with_name("b.db"))
    connection.close()
    shutil.copy(crashed, crashed.with_name("c.db"))
    wal = Path(f"{crashed}-wal").read_bytes()
    page = int.from_bytes(wal[32:36], "big")
    flip(crashed, (page - 1) * PAGE + 100)
    assert verify_file(crashed) == []
    Path(f"{crashed}-wal").unlink()
    assert verify_file(crashed) != []


def test_damage_in_a_write_ahead_log_is_told_although_sqlite_would_forget_commits_without_a_word(
    crashed: Path,
) -> None:
    wal = Path(f"{crashed}-wal")
    content = wal.read_bytes()
    chance = random.Random(41)
    frames = (len(content) - 32) // (24 + PAGE)
    for _ in range(30):
        frame = chance.randrange(frames * 3 // 4)
        wal.write_bytes(content)
        flip(wal, 32 + frame * (24 + PAGE) + chance.randrange(16, 24 + PAGE), mask=1 << chance.randrange(8))
        (problem,) = verify_file(crashed)
        assert f"frame {frame + 1} is damaged; SQLite would forget it" in problem
    wal.write_bytes(content)
    flip(wal, 20)
    assert "its header is damaged" in verify_file(crashed)[0]


def test_the_end_of_a_write_ahead_log_that_was_not_synced_is_no_damage(crashed: Path) -> None:
    wal = Path(f"{crashed}-wal")
    content = wal.read_bytes()
    frame = 24 + PAGE
    for cut in (1, frame // 2, frame, 3 * frame + 10):
        wal.write_bytes(content[:-cut])
        assert verify_file(crashed) == []
    wal.write_bytes(content[:-frame] + bytes(frame))
    assert verify_file(crashed) == []
