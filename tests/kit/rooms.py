"""The engines that keep log and state of a `Place`: files in its directory, or schemas on a server.

`DP3_TEST_ENGINE=postgres` runs the tests that stand on it on a server.
"""

import os
import shutil
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import apsw
import psycopg

from dp3.clock import Clock, FakeClock
from dp3.log.port import Log
from dp3.log.postgres import open_log as open_server_log
from dp3.log.sqlite import open_log
from dp3.store.ports.state import State
from dp3.store.postgres import open_state as open_server_state
from dp3.store.sqlite import open_state
from kit.backends import server_url

ENGINE = os.environ.get("DP3_TEST_ENGINE", "sqlite")

_number = count()


class Room(Protocol):
    """Where a place keeps its log and its state."""

    def open_log(self, clock: Clock, **options: Any) -> Log: ...

    def open_state(self, clock: Clock, partitions: int) -> State: ...

    def lose_state(self) -> None:
        """Nobody has it open: it falls back to its beginning."""
        ...

    def copy_state(self, target: Path) -> None:
        """Nobody changes it meanwhile. `target` names the copy."""
        ...

    def replace_state(self, source: Path) -> None:
        """Nobody has it open."""
        ...

    def sql(self, statement: str, *arguments: Any) -> list[dict[str, Any]]: ...

    def tables(self) -> list[str]: ...


@cache
def _empty_state(partitions: int) -> bytes:
    """The state file of an application that begins, which takes long to make."""
    with TemporaryDirectory() as directory:
        open_state(Path(directory), FakeClock(0), partitions=partitions).close()
        return Path(directory, "state.db").read_bytes()


class Files:
    """SQLite, as the program lays it out in a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._state = directory / "state"

    def open_log(self, clock: Clock, **options: Any) -> Log:
        return open_log(self._directory, clock, **options)

    def open_state(self, clock: Clock, partitions: int) -> State:
        if not self._state.exists():
            self._state.mkdir(parents=True)
            (self._state / "state.db").write_bytes(_empty_state(partitions))
        return open_state(self._state, clock, partitions=partitions)

    def lose_state(self) -> None:
        shutil.rmtree(self._state)

    def copy_state(self, target: Path) -> None:
        target.mkdir(parents=True)
        for path in self._state.glob("state.db*"):
            if not path.name.endswith("-shm"):
                shutil.copy(path, target)

    def replace_state(self, source: Path) -> None:
        shutil.rmtree(self._state)
        shutil.copytree(source, self._state)

    def sql(self, statement: str, *arguments: Any) -> list[dict[str, Any]]:
        connection = apsw.Connection(str(self._state / "state.db"))
        try:
            cursor = connection.execute(statement, arguments)
            return [
                dict(zip((name for name, _ in cursor.getdescription()), row, strict=True)) for row in cursor
            ]
        finally:
            connection.close()

    def tables(self) -> list[str]:
        return [row["name"] for row in self.sql("SELECT name FROM sqlite_schema WHERE type = 'table'")]


class Server:
    """PostgreSQL: a schema for the log and one for the state, so that the state alone can fall back."""

    def __init__(self) -> None:
        self._url = server_url()
        name = f"p{os.getpid()}_{next(_number)}"
        self._log, self._state = f"{name}_log", f"{name}_state"
        self._copies: dict[Path, str] = {}

    def open_log(self, clock: Clock, **options: Any) -> Log:
        return open_server_log(self._url, self._log, clock, **options)

    def open_state(self, clock: Clock, partitions: int) -> State:
        return open_server_state(
            self._url, self._state, clock, partitions=partitions, lease_time=clock.now_us
        )

    def lose_state(self) -> None:
        with self._connection() as connection:
            connection.execute(f"DROP SCHEMA {self._state} CASCADE".encode())

    def copy_state(self, target: Path) -> None:
        copy = self._copies[target] = f"{self._state}_{len(self._copies)}"
        with self._connection() as connection:
            connection.execute(f"CREATE SCHEMA {copy}".encode())
            for table in self.tables():
                connection.execute(f"CREATE TABLE {copy}.{table} AS TABLE {self._state}.{table}".encode())

    def replace_state(self, source: Path) -> None:
        copy, tables = self._copies[source], self.tables()
        with self._connection() as connection:
            connection.execute("SET session_replication_role = replica")  # triggers stay quiet
            connection.execute(f"TRUNCATE {', '.join(tables)}".encode())
            for table in tables:
                restored = f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM {copy}.{table}"
                connection.execute(restored.encode())
                self._restore_sequence(connection, table)

    def _restore_sequence(self, connection: psycopg.Connection[Any], table: str) -> None:
        query = (
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_schema = %s AND table_name = %s AND is_identity = 'YES'"
        )
        for (column,) in connection.execute(query, (self._state, table.strip('"'))).fetchall():
            place = f"pg_get_serial_sequence('{self._state}.{table}', '{column}')"
            last = f"SELECT max({column}) FROM {table}"
            connection.execute(
                f"SELECT setval({place}, coalesce(({last}), 1), ({last}) IS NOT NULL)".encode()
            )

    def sql(self, statement: str, *arguments: Any) -> list[dict[str, Any]]:
        with self._connection() as connection:
            cursor = connection.execute(statement.replace("%", "%%").replace("?", "%s").encode(), arguments)
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor] if names else []

    def tables(self) -> list[str]:
        found = self.sql("SELECT tablename FROM pg_tables WHERE schemaname = ?", self._state)
        return [f'"{row["tablename"]}"' for row in found]

    def _connection(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self._url, options=f"-c search_path={self._state}")


def a_room(directory: Path) -> Room:
    """One of the engine under test."""
    return Server() if ENGINE == "postgres" else Files(directory)
