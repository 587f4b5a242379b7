"""Checksums in the pages of database files."""

import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from dp3.sqlite import (
    DamagedFile,
    FormatError,
    check_format,
    connect,
    has_checksums,
    raise_damage,
    stamp_format,
    transaction,
    verify_file,
)
from kit.flips import flip, place_of, without_checksums

ROWS = 2_000


def value(number: int) -> str:
    return f"value-{number:06d}-" + "x" * 200


def a_file(path: Path, page_size: int = 4096) -> Path:
    connection = connect(path, page_size=page_size)
    with transaction(connection):
        connection.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", ((n, value(n)) for n in range(ROWS)))
    connection.close()
    return path


def read(path: Path, number: int) -> str:
    connection = connect(path, readonly=True)
    try:
        found: str = connection.execute("SELECT v FROM t WHERE k = ?", (number,)).get
        return found
    except apsw.Error as error:
        raise_damage(path, error)
    finally:
        connection.close()


@pytest.mark.parametrize("page_size", [4096, 8192])
def test_new_files_get_checksums_and_keep_them(tmp_path: Path, page_size: int) -> None:
    path = a_file(tmp_path / "a.db", page_size)
    connection = connect(path, readonly=True)
    assert has_checksums(connection)
    assert connection.pragma("page_size") == page_size
    assert connection.pragma("integrity_check") == "ok"
    connection.close()


def test_a_changed_byte_is_an_error_that_names_the_file_and_the_rest_is_still_read(tmp_path: Path) -> None:
    path = a_file(tmp_path / "a.db")
    flip(path, place_of(path, b"value-001000"))
    with pytest.raises(DamagedFile, match=r"a\.db: the file is damaged \(the checksum .*restore it"):
        read(path, 1000)
    assert read(path, 1) == value(1)


def test_no_changed_byte_of_the_first_page_is_taken_for_what_was_written(tmp_path: Path) -> None:
    path = a_file(tmp_path / "a.db")
    content = path.read_bytes()
    for at in (*range(110), *range(110, 4096, 37)):
        path.write_bytes(content)
        flip(path, at, mask=0x08)
        with pytest.raises(FormatError):
            read(path, 1000)


def test_a_changed_mark_does_not_put_checksums_out_of_force(tmp_path: Path) -> None:
    path = a_file(tmp_path / "a.db")
    flip(path, 20, mask=0x08)
    flip(path, place_of(path, b"value-001000"))
    with pytest.raises(DamagedFile, match="the mark of its checksums has been changed"):
        read(path, 1)


def test_a_file_without_checksums_can_be_read_and_written_as_before(tmp_path: Path) -> None:
    path = a_file(tmp_path / "a.db")
    without_checksums(path, 0)
    connection = connect(path)
    assert not has_checksums(connection)
    connection.execute("UPDATE t SET v = 'new' WHERE k = 1000")
    connection.close()
    assert read(path, 1000) == "new"


def test_what_another_connection_that_was_open_before_the_first_checkpoint_writes_has_checksums(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.db"
    first, second = connect(path), connect(path)
    with transaction(first):
        first.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT)")
        first.executemany("INSERT INTO t VALUES (?, ?)", ((n, value(n)) for n in range(ROWS)))
    second.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    with transaction(first):
        first.execute("UPDATE t SET v = 'new' WHERE k = 1000")
    second.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    third = connect(path, readonly=True)
    assert third.pragma("integrity_check") == "ok"
    for connection in (first, second, third):
        connection.close()


def test_a_connection_that_was_opened_before_the_file_was_made_compares_and_writes_checksums(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.db"
    path.touch()
    early = connect(path, create=False)
    maker = connect(path)
    with transaction(maker):
        maker.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT)")
        maker.executemany("INSERT INTO t VALUES (?, ?)", ((n, value(n)) for n in range(ROWS)))
        stamp_format(maker, 7, 1)
    assert check_format(early, 7, 1, "a file") == 1
    assert has_checksums(early)
    early.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    assert verify_file(path) == []
    early.close()
    maker.close()


WITHOUT_EXTENSION = """
import logging, sys
from pathlib import Path
sys.modules["apsw.sqlite_extra"] = None
logging.basicConfig(format="%(message)s")
from dp3.sqlite import FormatError, connect, has_checksums
"""


def run(script: str, path: Path) -> str:
    command = [sys.executable, "-c", WITHOUT_EXTENSION + script, str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stderr


def test_without_the_extension_files_have_no_checksums_which_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    script = "for n in range(3): connect(Path(sys.argv[1])).execute(f'CREATE TABLE t{n} (x)')"
    output = run(script, path)
    assert output.count("files are written without checksums") == 1
    connection = connect(path)
    assert not has_checksums(connection)
    connection.close()


def test_without_the_extension_files_with_checksums_are_read_but_not_written(tmp_path: Path) -> None:
    path = a_file(tmp_path / "a.db")
    script = """
assert connect(Path(sys.argv[1]), readonly=True).execute("SELECT count(*) FROM t").get == 2_000
try:
    connect(Path(sys.argv[1]))
except FormatError as error:
    print(error, file=sys.stderr)
"""
    assert "a.db: its pages have checksums, which this installation of apsw can not keep" in run(script, path)
    assert read(path, 1000) == value(1000)


def test_importing_registers_nothing() -> None:
    script = "import apsw, dp3.sqlite; assert 'cksmvfs' not in apsw.vfs_names()"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_threads_that_open_the_first_files_at_once_share_one_layer(tmp_path: Path) -> None:
    script = """
import sys, threading, apsw
from pathlib import Path
from dp3.sqlite import connect, has_checksums
sys.setswitchinterval(1e-6)
start = threading.Barrier(8)
found = []
def work(n):
    start.wait()
    connection = connect(Path(sys.argv[1]) / f"{n}.db")
    connection.execute("CREATE TABLE t (x)")
    found.append(has_checksums(connection))
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert found == [True] * 8 and apsw.vfs_names().count("cksmvfs") == 1
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
