"""The connections of one process to a PostgreSQL server."""

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any, NoReturn, TypeVar

from psycopg import Connection, Error

from dp3.postgres import MOST_CONNECTIONS, in_one_line, is_of_disk, open_pool, passes, shown
from dp3.postgres.transactions import Conversation, Unknown, begun, commit, pipelined, read
from dp3.store.ports.errors import LeaseLost, StoreFull, StoreUnavailable, StoreUncertain
from dp3.store.ports.leases import Lease
from dp3.store.postgres.dialect import PostgresStatement
from dp3.store.postgres.session import PostgresSession
from dp3.store.sql.leases import why_lost
from dp3.store.sql.session import Row, Values

T = TypeVar("T")

POLL_S = 0.01
"""Changes of other processes are seen after so long at the latest."""

COUNTED_S = 3_600.0
"""A writer that was silent for so long is not used again: after a day nobody counts its transactions."""

WRITERS_SHIFT = 16
"""Names of writers are a random number of the process, then a running one of so many bits."""

_READ_ONLY = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class PostgresDatabase:
    """See `dp3.store.sql.session.Database`. `schema`: where the tables of the application are.

    All of it raises `StoreUnavailable` when the server is away, or has ended a transaction for a reason that
    passes. When the connection is lost while a transaction ends, its end is found out: what was not committed
    raises `StoreUnavailable`, what can not be found out in time `StoreUncertain`."""

    commit_target_s = 0.25
    """Nobody waits for a batch of another worker; what is in it is seen so much later."""

    def __init__(
        self,
        url: str,
        schema: str,
        statements: Mapping[str, PostgresStatement],
        connections: int = MOST_CONNECTIONS,
    ) -> None:
        self._statements = statements
        self._server = shown(url)
        self._pool = open_pool(url, schema, connections)
        self._writers = _Writers()
        self.changes = Changes(self)

    def rows(self, name: str, values: Values = ()) -> list[Any]:
        """See the protocol."""
        return self._read(lambda session: session.rows(name, values))

    def value(self, name: str, values: Values = ()) -> Any:
        """See the protocol."""
        return self._read(lambda session: session.value(name, values))

    @contextmanager
    def reading(self) -> Iterator[PostgresSession]:
        """See the protocol."""
        with self._begun(_READ_ONLY) as connection:
            try:
                with pipelined(connection) as conversation:
                    yield PostgresSession(conversation, self._statements)
                    connection.execute("ROLLBACK", prepare=False)
            finally:
                if not connection.closed and connection.info.transaction_status:
                    connection.execute("ROLLBACK", prepare=False)

    @contextmanager
    def writing(self, lease: Lease | None = None) -> Iterator[PostgresSession]:
        """See the protocol. Those that are no batch of a worker happen one after the other."""
        with self._changing("leases.lock") as session:
            session.value("leases.lock")  # waits for the answer
            if lease is not None and session.value("leases.is_held", (lease.epoch,)) is None:
                self._refuse(session, lease)
            yield session

    @contextmanager
    def owned(self, lease: Lease) -> Iterator[PostgresSession]:
        """See the protocol."""
        with self._changing("leases.let_go", (lease.epoch,)) as session:
            held = session.ask("leases.own", (lease.epoch,))
            session.check = lambda: session.conversation.rows(held) or self._refuse(session, lease)
            yield session
            session.checked()

    def _refuse(self, session: PostgresSession, lease: Lease) -> NoReturn:
        raise LeaseLost(why_lost(lease, session.rows("leases.leases")))

    # -- transactions --------------------------------------------------------------------------------------
    @contextmanager
    def _changing(self, lock: str, values: Values = ()) -> Iterator[PostgresSession]:
        """A transaction that is committed. It is counted, if it has changed anything: others wait for that,
        and so its end can be found out. `lock` is the statement that waits for a lock which it is known to
        have before its end is sent: when the connection is lost, the server may still have to read some."""
        with self._begun() as connection, pipelined(connection) as conversation:
            session = PostgresSession(conversation, self._statements)
            yield session
            if not session.has_changed:
                return
            with self._writers.one() as writer:
                session.run("leases.count", (writer.name, 1))
                end = (writer.name, writer.transactions + 1)
                commit(self._pool, conversation, partial(self._has_happened, lock, values, *end))
                writer.transactions += 1
        self.changes.note()

    def _has_happened(
        self, lock: str, values: Values, writer: int, number: int, conversation: Conversation
    ) -> bool:
        """Whether a writer has come to the transaction with this number, once that is not under way."""
        session = PostgresSession(conversation, self._statements)
        session.value(lock, values)
        return bool(session.value("leases.count", (writer, 0)) >= number)

    # -- connections ---------------------------------------------------------------------------------------
    def _read(self, ask: Callable[[PostgresSession], T]) -> T:
        with self._refusals():
            return read(self._pool, lambda conversation: ask(PostgresSession(conversation, self._statements)))

    @contextmanager
    def _begun(self, begin: str = "BEGIN") -> Iterator[Connection[Row]]:
        with self._refusals(), begun(self._pool, begin) as connection:
            yield connection

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """Raise what the port calls the errors of the server in the block."""
        try:
            yield
        except Unknown as unknown:
            raise StoreUncertain(
                f"{self._server}: {unknown}; what was written may be stored or not"
            ) from unknown
        except Error as error:
            reason = f"{self._server}: {in_one_line(error)}"
            if is_of_disk(error):
                raise StoreFull(f"{reason}; nothing was written, make room on the server") from error
            if passes(error):
                raise StoreUnavailable(f"{reason}; nothing was written, try again") from error
            raise

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


@dataclass(slots=True)
class _Writer:
    """A name under which transactions are counted, and how many have been, the last one at `used_s`."""

    name: int
    transactions: int = 0
    used_s: float = 0.0


class _Writers:
    """Writers of this process; no two transactions that are under way have the same."""

    def __init__(self) -> None:
        self._first = secrets.randbits(46) << WRITERS_SHIFT
        self._numbers = count()
        self._idle: deque[_Writer] = deque()

    @contextmanager
    def one(self) -> Iterator[_Writer]:
        """A writer that nobody else has in the block; one whose transaction fails is not used again."""
        writer = self._last_used() or _Writer(self._first + next(self._numbers))
        yield writer
        writer.used_s = time.time()
        self._idle.append(writer)

    def _last_used(self) -> _Writer | None:
        """An idle one, if its transactions are still counted for sure."""
        while self._idle:
            with suppress(IndexError):  # another thread was faster
                writer = self._idle.pop()
                if abs(time.time() - writer.used_s) <= COUNTED_S:
                    return writer
        return None


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
