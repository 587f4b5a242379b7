"""The program under test with log and state on a PostgreSQL server."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from dp3.bench.application import Settings
from dp3.bench.engines import SNAPSHOT, SNAPSHOT_TABLES
from dp3.bench.peers.postgres import Postgres, postgres
from dp3.bench.report import BenchFailed
from dp3.bench.state import StateView
from dp3.clock import SystemClock
from dp3.log.port import Log
from dp3.log.postgres import open_log
from dp3.store.ports.state import State
from dp3.store.postgres import open_state

SETTINGS = {
    "shared_buffers": "512MB",
    "max_wal_size": "16GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "off",
}
"""As a careful operator has them. Everything that has to do with durability is as PostgreSQL has it."""

SIZES = """
SELECT relname, pg_total_relation_size(oid) FROM pg_class
WHERE relnamespace = %s::regnamespace AND relkind IN ('r', 'p')
"""


class OnPostgres:
    """See `dp3.bench.engines.Engine`. `url`: of the server; `server`: known if it is one of the benchmark's
    own; `through`: the address that the program is given in its place."""

    def __init__(
        self, url: str, schema: str, server: Postgres | None = None, through: str | None = None
    ) -> None:
        self.url = url
        self._schema = schema
        self._server = server
        self._through = through or url

    def by_way_of(self, host: str, port: int) -> "OnPostgres":
        """The same, reached by another address, without TLS."""
        plain = {"host": host, "port": port, "sslmode": "disable", "gssencmode": "disable"}
        through = _as_url(conninfo_to_dict(self.url) | plain)
        return OnPostgres(self.url, self._schema, self._server, through)

    @property
    def address(self) -> tuple[str, int]:
        """Host, or directory of sockets, and port of the server."""
        found = conninfo_to_dict(self.url)
        return str(found.get("host") or "127.0.0.1"), int(found.get("port") or 5432)

    @property
    def settings(self) -> Mapping[str, Settings]:
        """See the protocol."""
        return {"database": {"url": self._through, "schema_name": self._schema}}

    @contextmanager
    def opened(self, data: Path) -> Iterator[tuple[Log, State]]:
        """See the protocol."""
        clock = SystemClock()
        log = open_log(self.url, self._schema, clock)
        store = open_state(self.url, self._schema, clock)
        try:
            yield log, store
        finally:
            store.close()
            log.close()

    @contextmanager
    def state(self, data: Path) -> Iterator[StateView]:
        """See the protocol."""
        options = f"-c search_path={self._schema}"
        with psycopg.connect(self.url, options=options, autocommit=True) as connection:
            yield StateView(lambda sql, values: connection.execute(sql.replace("?", "%s").encode(), values))

    def disk_bytes(self, data: Path) -> int:
        """See the protocol."""
        return sum(self.table_bytes().values())

    def snapshot_bytes(self, data: Path) -> tuple[int, int]:
        """See the protocol."""
        sizes = self.table_bytes()
        return sizes[SNAPSHOT], sum(sizes.get(name, 0) for name in SNAPSHOT_TABLES)

    def table_bytes(self) -> dict[str, int]:
        """Bytes of each table with its indexes."""
        return dict(self.sql(SIZES, (self._schema,)))

    def cpu_s(self) -> dict[str, float]:
        """See the protocol. Nobody sees what a server that others have started computes."""
        return {} if self._server is None else {"server": self._server.cpu_s()}

    def wal_bytes(self) -> int | None:
        """See the protocol."""
        ((count,),) = self.sql("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")
        return int(count)

    def checkpoint(self) -> str:
        """The place in the log where the last checkpoint began."""
        ((place,),) = self.sql("SELECT redo_lsn::text FROM pg_control_checkpoint()")
        return str(place)

    def drop(self) -> None:
        """Remove everything."""
        self.sql(f"DROP SCHEMA IF EXISTS {self._schema} CASCADE")

    def sql(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """The rows of a statement. Raises `BenchFailed`."""
        try:
            with psycopg.connect(self.url, autocommit=True) as connection:
                cursor = connection.execute(statement.encode(), values)
                return cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise BenchFailed(f"the server refused: {error}") from error


@contextmanager
def on_postgres(url: str | None) -> Iterator[OnPostgres]:
    """A place on a server with nothing in it, until the end of the block. Without `url` a server is started
    for it. Raises `BenchFailed`."""
    if url is not None:
        engine = OnPostgres(url, f"bench_{os.getpid()}_{time.monotonic_ns() % 10**9}")
        try:
            yield engine
        finally:
            engine.drop()
        return
    directory = Path(tempfile.mkdtemp(prefix="dp3-bench-server-"))
    try:
        with postgres(directory, None, **SETTINGS) as server:
            yield OnPostgres(server.url, "bench", server)
    finally:
        shutil.rmtree(directory)


def _as_url(words: Mapping[str, Any]) -> str:
    """Words of a connection as an address."""
    options = urlencode({name: value for name, value in words.items() if name not in ("user", "dbname")})
    return f"postgresql://{quote(str(words['user']))}@/{quote(str(words['dbname']))}?{options}"
