"""The connections of one process to a PostgreSQL server."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

from dp3.postgres import MOST_CONNECTIONS, open_pool
from dp3.store.ports.errors import LeaseLost
from dp3.store.ports.leases import Lease
from dp3.store.postgres.dialect import PostgresStatement
from dp3.store.postgres.session import PostgresSession
from dp3.store.sql.leases import why_lost
from dp3.store.sql.session import Values

NO_WORKER = -1

POLL_S = 0.01
"""Changes of other processes are seen after so long at the latest."""


class PostgresDatabase:
    """See `dp3.store.sql.session.Database`. `schema`: where the tables of the application are."""

    def __init__(
        self,
        url: str,
        schema: str,
        statements: Mapping[str, PostgresStatement],
        connections: int = MOST_CONNECTIONS,
    ) -> None:
        self._statements = statements
        self._pool = open_pool(url, schema, connections)
        self.changes = Changes(self)

    @contextmanager
    def _session(self) -> Iterator[PostgresSession]:
        with self._pool.connection() as connection:
            yield PostgresSession(connection, self._statements)

    @contextmanager
    def _pipeline(self, session: PostgresSession) -> Iterator[None]:
        with session.connection.pipeline() as session.pipeline:
            yield

    def rows(self, name: str, values: Values = ()) -> list[Any]:
        """See the protocol."""
        with self._session() as session:
            return session.rows(name, values)

    def value(self, name: str, values: Values = ()) -> Any:
        """See the protocol."""
        with self._session() as session:
            return session.value(name, values)

    @contextmanager
    def reading(self) -> Iterator[PostgresSession]:
        """See the protocol."""
        with self._session() as session:
            connection = session.connection
            try:
                with self._pipeline(session):
                    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    yield session
                    connection.execute("ROLLBACK")
            finally:
                if not connection.closed and connection.info.transaction_status:
                    connection.execute("ROLLBACK")

    @contextmanager
    def writing(self, lease: Lease | None = None) -> Iterator[PostgresSession]:
        """See the protocol. Those that are no batch of a worker happen one after the other."""
        with self._session() as session, self._pipeline(session), session.connection.transaction():
            session.value("leases.lock")
            if lease is not None and session.value("leases.is_held", (lease.epoch,)) is None:
                self._refuse(session, lease)
            yield session
            changed = self._note(session, NO_WORKER)
        if changed:
            self.changes.note()

    @contextmanager
    def owned(self, lease: Lease) -> Iterator[PostgresSession]:
        """See the protocol."""
        with self._session() as session, self._pipeline(session), session.connection.transaction():
            session.check = self._ownership(session, lease)
            yield session
            changed = self._note(session, lease.index)
            session.checked()
        if changed:
            self.changes.note()

    def _note(self, session: PostgresSession, worker: int) -> bool:
        """Count the transaction, if it has changed anything: others wait for that."""
        if session.has_changed:
            session.run("leases.note_change", (worker,))
        return session.has_changed

    def _ownership(self, session: PostgresSession, lease: Lease) -> Callable[[], object]:
        """Ask whether a lease is held; the answer is looked at by what is returned."""
        held = session.ask("leases.own", (lease.epoch,))
        return lambda: held.fetchone() or self._refuse(session, lease)

    def _refuse(self, session: PostgresSession, lease: Lease) -> NoReturn:
        raise LeaseLost(why_lost(lease, session.rows("leases.leases")))

    def wait_for_room(self) -> None:
        """See the protocol. The server sees to that itself."""

    def make_durable(self) -> None:
        """See the protocol. Every commit is."""

    def disk_bytes(self) -> int:
        """See the protocol."""
        size: int = self.value("sizes.disk_bytes")
        return size

    def close(self) -> None:
        """Give back the connections; calling it again does nothing."""
        self._pool.close()


class Changes:
    """See `dp3.store.ports.batches.Changes`: transactions are counted. Asked often, so the server is
    asked once in a while; commits of this process are known at once."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._mutex = threading.Lock()
        self._asked_at = float("-inf")
        self._seen = 0
        self._version = 0

    def version(self) -> int:
        """See the port."""
        with self._mutex:
            if time.monotonic() - self._asked_at > POLL_S:
                seen: int = self._database.value("leases.transactions")
                self._asked_at = time.monotonic()
                if seen != self._seen:
                    self._seen = seen
                    self._version += 1
            return self._version

    def note(self) -> None:
        """This process has committed."""
        with self._mutex:
            self._seen += 1
            self._version += 1
