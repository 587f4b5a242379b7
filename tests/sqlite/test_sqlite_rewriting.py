"""Replacing a database file by a copy with checksums."""

import errno
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import apsw
import pytest

from dp3.sqlite import (
    DamagedFile,
    FormatError,
    connect,
    has_checksums,
    renew_checksums,
    rewrite,
    transaction,
    verify_file,
)
from kit.flips import without_checksums

ROWS = 4_000
MIB = 1 << 20
SELECT = "SELECT count(*), sum(k), sum(length(v)), max(v) FROM t"


def rows(path: Path) -> object:
    connection = connect(path, create=False)
    try:
        return connection.execute(SELECT).get
    finally:
        connection.close()


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """A file without checksums."""
    return a_file(tmp_path / "a.db", ROWS)


def a_file(path: Path, count: int) -> Path:
    connection = connect(path)
    with transaction(connection):
        connection.execute("CREATE TABLE t (k INTEGER PRIMARY KEY AUTOINCREMENT, v TEXT)")
        connection.execute(
            "CREATE TABLE pair (a, b, PRIMARY KEY (a, b)) WITHOUT ROWID; CREATE INDEX i ON t (v)"
        )
        connection.execute(
            "CREATE TRIGGER added AFTER INSERT ON t BEGIN INSERT INTO pair VALUES (new.k, 0); END"
        )
        values = ((f"{random.Random(n).random()}" + "x" * 500,) for n in range(count))
        connection.executemany("INSERT INTO t (v) VALUES (?)", values)
    connection.close()
    without_checksums(path, 1)
    return path


def test_pages_that_do_not_fit_into_the_cache_get_checksums_too(tmp_path: Path) -> None:
    path = a_file(tmp_path / "a.db", 20_000)
    assert path.stat().st_size > 2 * 8 * MIB
    rewrite(path, add_column)
    assert verify_file(path) == []


def add_column(connection: apsw.Connection) -> None:
    connection.execute("ALTER TABLE t ADD COLUMN w INTEGER NOT NULL DEFAULT 7")
    connection.pragma("user_version", 2)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
def test_the_copy_belongs_to_whom_the_file_belonged(older: Path) -> None:
    older.chmod(0o640)
    os.chown(older, 1234, 1234)
    rewrite(older, add_column)
    assert (older.stat().st_mode & 0o777, older.stat().st_uid, older.stat().st_gid) == (0o640, 1234, 1234)


def test_the_copy_has_everything_the_change_and_checksums(older: Path) -> None:
    before = rows(older)
    rewrite(older, add_column)
    assert rows(older) == before
    assert verify_file(older) == []
    assert [path.name for path in older.parent.iterdir()] == ["a.db"]
    connection = connect(older, create=False)
    assert has_checksums(connection)
    assert connection.pragma("journal_mode") == "wal"
    assert connection.execute("SELECT DISTINCT w FROM t").get == 7
    connection.execute("INSERT INTO t (v) VALUES ('new')")
    assert connection.execute("SELECT max(k), (SELECT count(*) FROM pair) FROM t").get == (ROWS + 1, ROWS + 1)
    connection.close()


KEEP_OPEN = """
import sys
import apsw
connection = apsw.Connection(sys.argv[1])
connection.execute("SELECT * FROM t")
print("open", flush=True)
sys.stdin.read()
"""


def test_a_file_that_somebody_has_open_is_left_as_it_is(older: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", KEEP_OPEN, str(older)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None and other.stdout.readline() == b"open\n"
    content = older.read_bytes()
    with pytest.raises(FormatError, match=r"a\.db: .* stop all processes of the old version"):
        rewrite(older, add_column)
    assert older.read_bytes() == content
    other.communicate(b"")
    rewrite(older, add_column)
    assert verify_file(older) == []


def test_what_does_not_fit_on_the_disk_is_not_begun(older: Path) -> None:
    content = older.read_bytes()
    os.truncate(older, 8 << 40)
    with pytest.raises(OSError, match=r"needs \d+ MB, \d+ MB are free") as raised:
        rewrite(older, add_column)
    assert raised.value.errno == errno.ENOSPC
    assert raised.value.filename == str(older)
    assert [path.name for path in older.parent.iterdir()] == ["a.db"]
    os.truncate(older, len(content))
    assert older.read_bytes() == content


def test_a_change_that_fails_leaves_the_file_as_it_was(older: Path) -> None:
    before = rows(older)

    def fail(connection: apsw.Connection) -> None:
        add_column(connection)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        rewrite(older, fail)
    assert rows(older) == before
    assert [path.name for path in older.parent.iterdir()] == ["a.db"]


def test_a_damaged_file_is_not_replaced(older: Path) -> None:
    with older.open("r+b") as file:
        file.seek(200 * 4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(DamagedFile, match=r"a\.db: the file is damaged"):
        rewrite(older, add_column)
    assert [path.name for path in older.parent.iterdir()] == ["a.db"]


CRASH = """
import os, sys
from pathlib import Path
from dp3.sqlite import connect
connection = connect(Path(sys.argv[1]))
connection.execute("UPDATE t SET v = 'new' WHERE k % 7 = 0")
os._exit(0)
"""


def test_checksums_that_another_program_left_wrong_after_a_crash_are_renewed(older: Path) -> None:
    rewrite(older, add_column)
    subprocess.run([sys.executable, "-c", CRASH, str(older)], check=True)
    other = apsw.Connection(str(older), vfs="unix")
    right = other.execute(SELECT).get
    other.close()
    assert verify_file(older) != []
    assert renew_checksums(older) > 10
    assert verify_file(older) == []
    assert rows(older) == right
    assert renew_checksums(older) == 0


def test_checksums_are_not_renewed_beside_others_nor_where_there_are_none(older: Path) -> None:
    with pytest.raises(FormatError, match="no room for checksums"):
        renew_checksums(older)
    rewrite(older, add_column)
    connection = connect(older)
    with pytest.raises(FormatError, match="another process has it open"):
        renew_checksums(older)
    connection.close()


REWRITE = """
import sys
from pathlib import Path
from dp3.sqlite import rewrite
def change(connection):
    connection.execute("ALTER TABLE t ADD COLUMN w INTEGER NOT NULL DEFAULT 7")
    connection.pragma("user_version", 2)
print("begun", flush=True)
rewrite(Path(sys.argv[1]), change)
"""


def version(path: Path) -> int:
    connection = connect(path)
    found: int = connection.pragma("user_version")
    connection.close()
    return found


def test_killed_at_any_moment_it_leaves_the_old_file_or_the_new_one(older: Path) -> None:
    before = rows(older)
    content = older.read_bytes()
    chance = random.Random(41)
    took, outcomes, left = 0.5, set(), 0
    for attempt in range(25):
        if version(older) == 2:
            older.write_bytes(content)
        child = subprocess.Popen(
            [sys.executable, "-c", REWRITE, str(older)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert child.stdout is not None and child.stdout.readline() == b"begun\n"
        begun = time.perf_counter()
        if attempt:
            time.sleep(chance.random() * took * 1.1)
            child.send_signal(signal.SIGKILL)
        child.wait()
        took = took if attempt else time.perf_counter() - begun
        child.stdout.close()
        left += older.with_name("a.db.new").exists()
        outcomes.add(version(older))
        assert rows(older) == before
    assert outcomes == {1, 2}
    assert left
    if version(older) == 1:
        rewrite(older, add_column)
    assert verify_file(older) == []
    assert [path.name for path in older.parent.iterdir()] == ["a.db"]
