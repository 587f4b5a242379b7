"""The engines that keep log and state of a `Place`: files in its directory, or a database on a server.

`DP3_TEST_ENGINE=postgres` runs the tests that stand on it on a server.
"""

import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import apsw
import psycopg
from psycopg.conninfo import make_conninfo

from dp3.clock import Clock, FakeClock
from dp3.log.checksums import entry_checksum
from dp3.log.port import Lane, Log
from dp3.log.postgres import open_log as open_server_log
from dp3.log.sqlite import open_log
from dp3.store.ports.state import State
from dp3.store.postgres import open_state as open_server_state
from dp3.store.postgres.database import PostgresDatabase
from dp3.store.sqlite import open_state
from dp3.store.sqlite.connections import SqliteDatabase
from kit.backends import a_schema_name, noted_transactions, server_url

ENGINE = os.environ.get("DP3_TEST_ENGINE", "sqlite")


class Room(Protocol):
    """The log and the state of a place. A directory that has one gets that again."""

    def open_log(self, clock: Clock, **options: Any) -> Log: ...

    def open_state(self, clock: Clock) -> State: ...

    def close(self) -> None:
        """Nobody has anything of it open, nor opens it again."""
        ...

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

    def change_body(self, offset: int, change: Callable[[bytes], bytes]) -> None:
        """Change what an entry of the main lane holds, as if it had been written so."""
        ...


@cache
def _empty_state(partitions: int) -> bytes:
    """The state file of an application that begins, which takes long to make."""
    with TemporaryDirectory() as directory:
        open_state(Path(directory), FakeClock(0), partitions=partitions).close()
        return Path(directory, "state.db").read_bytes()


class Files:
    """SQLite, as the program lays it out in a directory."""

    def __init__(self, directory: Path, partitions: int) -> None:
        self._directory = directory
        self._state = directory / "state"
        self._partitions = partitions

    def open_log(self, clock: Clock, **options: Any) -> Log:
        return open_log(self._directory, clock, **options)

    def open_state(self, clock: Clock) -> State:
        if not self._state.exists():
            self._state.mkdir(parents=True)
            (self._state / "state.db").write_bytes(_empty_state(self._partitions))
        return open_state(self._state, clock, partitions=self._partitions)

    def close(self) -> None:
        """The files go with their directory."""

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

    def change_body(
        self, offset: int, change: Callable[[bytes], bytes], *, fits_checksum: bool = True
    ) -> None:
        (path,) = (self._directory / "log" / "main").glob("*.seg")
        segment = apsw.Connection(str(path))
        columns = "entry_order, append_time, latest, total, body"
        *numbers, body = segment.execute(f"SELECT {columns} FROM entry WHERE offset = ?", (offset,)).get
        body = change(body)
        segment.execute("UPDATE entry SET body = ? WHERE offset = ?", (body, offset))
        if fits_checksum:
            order, append_time, latest, total = numbers
            fitting = entry_checksum(Lane.MAIN, offset, order, append_time, latest, total, body)
            segment.execute("UPDATE entry SET checksum = ? WHERE offset = ?", (fitting, offset))
        segment.close()


LOG, STATE = "log", "state"
"""The schemas of a database, so that the state alone can fall back."""

QUERY_LIMIT_S = 60.0
"""A server counts how long a statement waits for a processor, too."""

_MAKING = 0x7465_7374
"""The lock under which templates are made."""


class Server:
    """PostgreSQL: a database of its own, which a file in `directory` names."""

    def __init__(self, directory: Path, partitions: int) -> None:
        self._partitions = partitions
        self._copies: dict[Path, str] = {}
        note = directory / "database"
        self._is_mine = not note.exists()
        if self._is_mine:
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(_new_database(partitions))
        self._name = note.read_text()
        self._url = _url_of(self._name)

    def open_log(self, clock: Clock, **options: Any) -> Log:
        return open_server_log(self._url, LOG, clock, **options)

    def open_state(self, clock: Clock) -> State:
        options: Any = {"partitions": self._partitions, "query_limit_s": QUERY_LIMIT_S}
        return open_server_state(self._url, STATE, clock, lease_time=clock.now_us, **options)

    def close(self) -> None:
        self._beside.close()
        if self._is_mine:
            _administrate(f"DROP DATABASE {self._name} WITH (FORCE)")

    @cached_property
    def _beside(self) -> psycopg.Connection[Any]:
        """A connection for what is done beside the application."""
        return psycopg.connect(self._url, autocommit=True, options=f"-c search_path={STATE}")

    def _do(self, statement: str, *arguments: Any) -> psycopg.Cursor[Any]:
        return self._beside.execute(statement.encode(), arguments or None)

    def lose_state(self) -> None:
        self._do(f"DROP SCHEMA {STATE} CASCADE")

    def copy_state(self, target: Path) -> None:
        copy = self._copies[target] = f"{STATE}_{len(self._copies)}"
        with self._beside.transaction():
            self._do(f"CREATE SCHEMA {copy}")
            for table in self._stored():
                self._do(f'CREATE TABLE {copy}."{table}" AS TABLE {STATE}."{table}"')

    def replace_state(self, source: Path) -> None:
        copy, tables = self._copies[source], self._stored()
        with self._beside.transaction():
            self._do("SET LOCAL session_replication_role = replica")  # triggers stay quiet
            for table in tables:
                self._do(f'DELETE FROM "{table}"')
                self._do(f'INSERT INTO "{table}" OVERRIDING SYSTEM VALUE SELECT * FROM {copy}."{table}"')
            for table, column in self._identities():
                self._restore_sequence(table, column)

    def _identities(self) -> list[tuple[str, str]]:
        query = "SELECT table_name, column_name FROM information_schema.columns"
        return self._do(f"{query} WHERE table_schema = %s AND is_identity = 'YES'", STATE).fetchall()

    def _restore_sequence(self, table: str, column: str) -> None:
        place = f"pg_get_serial_sequence('{STATE}.\"{table}\"', '{column}')"
        last = f'SELECT max({column}) FROM "{table}"'
        self._do(f"SELECT setval({place}, coalesce(({last}), 1), ({last}) IS NOT NULL)")

    def sql(self, statement: str, *arguments: Any) -> list[dict[str, Any]]:
        cursor = self._do(
            statement.replace("%", "%%").replace("?", "%s") if arguments else statement, *arguments
        )
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor] if names else []

    def tables(self) -> list[str]:
        """Those that the common statements know: some are views of others here."""
        views = self._do("SELECT viewname FROM pg_views WHERE schemaname = %s AND viewname <> 'total'", STATE)
        return [*self._stored(), *(name for (name,) in views)]

    def _stored(self) -> list[str]:
        return [name for (name,) in self._do("SELECT tablename FROM pg_tables WHERE schemaname = %s", STATE)]

    def change_body(self, offset: int, change: Callable[[bytes], bytes]) -> None:
        query = f'SELECT body FROM {LOG}.log_main WHERE "offset" = %s'
        ((body,),) = self._do(query, offset).fetchall()
        self._do(f'UPDATE {LOG}.log_main SET body = %s WHERE "offset" = %s', change(body), offset)


def transactions() -> AbstractContextManager[list[Any]]:
    """Notes the transactions that change the states of places."""
    return noted_transactions(PostgresDatabase if ENGINE == "postgres" else SqliteDatabase)


def examples(number: int) -> int:
    """The number of examples that are tried: fewer on a server, where each takes longer."""
    return max(number // 5, 8) if ENGINE == "postgres" else number


def _new_database(partitions: int) -> str:
    """The name of a database of an application that begins: a copy, because making the tables takes long."""
    name = a_schema_name("place")
    _administrate(f"CREATE DATABASE {name} TEMPLATE {_template(partitions)}")
    return name


@cache
def _template(partitions: int) -> str:
    """The name of a database that others are copies of; the first that needs it makes it."""
    name = f"template_{_version()}_{partitions}"
    with psycopg.connect(server_url(), autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (_MAKING,))
        if not connection.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchall():
            unfinished = f"{name}_unfinished"
            connection.execute(f"DROP DATABASE IF EXISTS {unfinished}".encode())
            connection.execute(f"CREATE DATABASE {unfinished}".encode())
            open_server_state(_url_of(unfinished), STATE, FakeClock(0), partitions=partitions).close()
            open_server_log(_url_of(unfinished), LOG, FakeClock(0)).close()
            connection.execute(f"ALTER DATABASE {unfinished} RENAME TO {name}".encode())
    return name


def _version() -> str:
    """Names the statements by which tables are made."""
    packages = ("dp3.store.sql", "dp3.store.postgres", "dp3.log.postgres")
    texts = [path for package in packages for path in files(package).iterdir() if path.name.endswith(".sql")]
    return hashlib.sha256(b"".join(path.read_bytes() for path in texts)).hexdigest()[:8]


def _url_of(database: str) -> str:
    return make_conninfo(server_url(), dbname=database)


def _administrate(statement: str) -> None:
    with psycopg.connect(server_url(), autocommit=True) as connection:
        connection.execute(statement.encode())


def a_room(directory: Path, partitions: int) -> Room:
    """One of the engine under test."""
    return (Server if ENGINE == "postgres" else Files)(directory, partitions)
