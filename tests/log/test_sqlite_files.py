"""Connections, formats and statement files."""

from pathlib import Path

import apsw
import pytest

from dp3.sqlite import (
    DISK_ERRORS,
    FormatError,
    check_format,
    connect,
    stamp_format,
    transaction,
)
from dp3.statements import parse_statements

APPLICATION = 0x44503301


def test_new_file_has_format_zero_and_then_what_was_stamped(tmp_path: Path) -> None:
    connection = connect(tmp_path / "a.db")
    assert check_format(connection, APPLICATION, 2, "the state") == 0
    with transaction(connection):
        connection.execute("CREATE TABLE t (x)")
        stamp_format(connection, APPLICATION, 2)
    assert check_format(connection, APPLICATION, 2, "the state") == 2
    connection.close()


def test_file_of_a_newer_version_is_refused_with_both_versions(tmp_path: Path) -> None:
    connection = connect(tmp_path / "a.db")
    stamp_format(connection, APPLICATION, 3)
    with pytest.raises(FormatError, match=r"a\.db: the state .* \(format 3, this program reads up to 2\)"):
        check_format(connection, APPLICATION, 2, "the state")
    connection.close()


def test_file_of_another_program_is_refused(tmp_path: Path) -> None:
    connection = connect(tmp_path / "a.db")
    connection.execute("CREATE TABLE t (x)")
    with pytest.raises(FormatError, match="another program"):
        check_format(connection, APPLICATION, 2, "the state")
    connection.close()


def test_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(FormatError, match="not a SQLite database"):
        connect(tmp_path / "a.db")


def test_connection_keeps_a_wal_and_never_checkpoints_by_itself(tmp_path: Path) -> None:
    connection = connect(tmp_path / "a.db", synchronous="NORMAL")
    assert connection.pragma("journal_mode") == "wal"
    assert connection.pragma("wal_autocheckpoint") == 0
    assert connection.pragma("synchronous") == 1
    connection.close()


def test_readonly_connection_refuses_to_write(tmp_path: Path) -> None:
    connect(tmp_path / "a.db").close()
    connection = connect(tmp_path / "a.db", readonly=True)
    with pytest.raises(apsw.ReadOnlyError):
        connection.execute("CREATE TABLE t (x)")
    connection.close()


def test_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    connection = connect(tmp_path / "a.db")
    with pytest.raises(ZeroDivisionError), transaction(connection):
        connection.execute("CREATE TABLE t (x)")
        _ = 1 / 0
    assert list(connection.execute("SELECT * FROM sqlite_schema")) == []
    connection.close()


def test_transaction_on_a_full_disk_leaves_nothing_and_works_when_there_is_space(tmp_path: Path) -> None:
    connection = connect(tmp_path / "a.db")
    connection.execute("CREATE TABLE t (x)")
    connection.pragma("max_page_count", 10)
    with pytest.raises(DISK_ERRORS), transaction(connection):
        connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
    connection.pragma("max_page_count", 1000)
    with transaction(connection):
        connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
    assert connection.execute("SELECT count(*) FROM t").get == 1
    connection.close()


GOOD = """-- What this file is for.

-- name: first
-- Reads one.
SELECT 1;

-- name: script
-- Makes tables.
-- In two lines.
CREATE TABLE a (x); -- with a remark
CREATE TABLE b (x);
"""


def test_statements_are_found_by_name_without_their_description() -> None:
    statements = parse_statements(GOOD, "good.sql")
    assert dict(statements) == {
        "first": "SELECT 1;",
        "script": "CREATE TABLE a (x); -- with a remark\nCREATE TABLE b (x);",
    }


def test_unknown_statement_is_reported_with_a_near_name() -> None:
    with pytest.raises(KeyError, match=r"good\.sql: no statement named 'frist'; did you mean 'first'"):
        parse_statements(GOOD, "good.sql")["frist"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT 1;", r"bad\.sql:1: SQL before"),
        ("-- name: a\n-- Reads.\nSELECT 1;\n-- name: a\n-- Reads.\nSELECT 1;", r"bad\.sql:4: there are two"),
        ("-- name: a\nSELECT 1;", r"bad\.sql:1: 'a' has no description"),
        ("\n-- name: a\n-- Reads.\n", r"bad\.sql:2: 'a' has no SQL"),
        ("-- name: Not A Name\n-- Reads.\nSELECT 1;", r"bad\.sql:1: .* must be like"),
        ("-- name:\n-- Reads.\nSELECT 1;", r"bad\.sql:1: .* must be like"),
    ],
)
def test_mistake_in_a_statement_file_is_reported_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_statements(text, "bad.sql")
