"""Log and state of a program, as a test finds them beside it: in files, or in a schema on a server."""

import fcntl
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import apsw
import psycopg

from dp3.sqlite import connect
from kit.backends import a_schema_name, server_url
from kit.rooms import ENGINE

BUSY_MS = 5_000


class Stored(Protocol):
    """The log and state of a program; `configuration` are the files by which it finds the engine."""

    configuration: Mapping[str, Any]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Read the state directly."""
        ...

    def numbers(self) -> list[tuple[Any, ...]]:
        """Tables and views of the state with their columns of integers."""
        ...

    def change(self, statement: str, *values: Any) -> None:
        """Change the state behind the program's back."""
        ...

    def is_written(self) -> bool:
        """Whether some process may be in the middle of a transaction."""
        ...

    def close(self) -> None:
        """Nothing is asked any more."""
        ...


class StoredFiles:
    """SQLite in the data directory."""

    configuration: Mapping[str, Any] = {}

    def __init__(self, data: Path) -> None:
        self._state = data / "state" / "state.db"
        self._locks = data / "state" / "state.lock", data / "log" / "derived" / "lock"

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        connection = apsw.Connection(str(self._state), flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(BUSY_MS)
        try:
            return list(connection.execute(sql))
        finally:
            connection.close()

    def numbers(self) -> list[tuple[Any, ...]]:
        return self.query(
            "SELECT m.name, c.name FROM sqlite_schema AS m JOIN pragma_table_info(m.name) AS c"
            " WHERE m.type = 'table' AND c.type = 'INTEGER'"
        )

    def change(self, statement: str, *values: Any) -> None:
        state = connect(self._state, create=False)
        state.execute(statement, values)
        state.close()

    def is_written(self) -> bool:
        return not all(
            _is_free(path.with_name(path.name + suffix)) for path in self._locks for suffix in ("", ".gate")
        )

    def close(self) -> None:
        """Nothing is open between questions."""


def _is_free(lock: Path) -> bool:
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class StoredOnServer:
    """PostgreSQL, in a schema that the program makes."""

    def __init__(self) -> None:
        self._url, self._schema = server_url(), a_schema_name("program")
        self.configuration = {"database.yml": {"url": self._url, "schema_name": self._schema}}

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql.encode()).fetchall()

    def numbers(self) -> list[tuple[Any, ...]]:
        return self.query(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = current_schema() AND data_type = 'bigint'"
        )

    def change(self, statement: str, *values: Any) -> None:
        self._connection.execute(statement.replace("?", "%s").encode(), values)

    def is_written(self) -> bool:
        sessions = "FROM pg_stat_activity WHERE application_name = %s AND xact_start IS NOT NULL"
        found = self._connection.execute(f"SELECT 1 {sessions}".encode(), (f"dp3 {self._schema}",))
        return found.fetchone() is not None

    def close(self) -> None:
        if "_connection" in vars(self):
            self._connection.close()

    @cached_property
    def _connection(self) -> psycopg.Connection[Any]:
        """Kept, so that tests see what lasts a moment only."""
        return psycopg.connect(self._url, autocommit=True, options=f"-c search_path={self._schema}")


def stored(data: Path) -> Stored:
    """The log and state of a program with this data directory, in the engine under test."""
    return StoredOnServer() if ENGINE == "postgres" else StoredFiles(data)
