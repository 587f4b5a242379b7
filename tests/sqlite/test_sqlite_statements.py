"""Statements for many rows at once."""

import subprocess
import sys
from pathlib import Path

from dp3.statements import load_statements

MANY_PAGES = """
import sys
from pathlib import Path

{first}
from dp3.sqlite import connect, run_for_rows, transaction

connection = connect(Path(sys.argv[1]), synchronous="NORMAL")
connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL, filling TEXT)")
with transaction(connection):
    connection.executemany("INSERT INTO t VALUES (?, 0, ?)", [(id_, "x" * 2_000) for id_ in range(512)])
with transaction(connection):
    upsert = "INSERT INTO t (id, n) VALUES {{rows}} ON CONFLICT (id) DO UPDATE SET n = excluded.n"
    run_for_rows(connection, upsert, [(id_, 1) for id_ in range(512)])
    files = [file.resolve() for file in Path("/proc/self/fd").iterdir()]
    print(sum(file.name.endswith("(deleted)") for file in files))
assert connection.execute("SELECT sum(n) FROM t").get == 512
"""


def temporary_files(directory: Path, first: str = "") -> str:
    """The number of files that SQLite has put aside after one statement has changed hundreds of pages."""
    program = MANY_PAGES.format(first=first)
    file = str(directory / "some.db")
    return subprocess.run(
        [sys.executable, "-c", program, file], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_a_statement_that_changes_many_pages_writes_no_temporary_file(tmp_path: Path) -> None:
    assert temporary_files(tmp_path) == "0"


def test_where_others_in_the_process_use_sqlite_already_files_open_as_well(tmp_path: Path) -> None:
    assert temporary_files(tmp_path, 'import apsw; other = apsw.Connection(":memory:")') == "1"


def test_a_file_of_statements_is_read_once_however_many_segments_and_states_are_opened() -> None:
    first = load_statements("dp3.log.sqlite", "segments.sql")

    assert load_statements("dp3.log.sqlite", "segments.sql") is first
