"""Statements and transactions on a server that may go away, come back, or be another one then."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from psycopg import Connection, Cursor, Error, Pipeline
from psycopg.abc import Params
from psycopg.pq.abc import PGconn
from psycopg.waiting import Ready, Wait
from psycopg_pool import PoolTimeout

from dp3.postgres.connecting import Pool
from dp3.postgres.failures import in_one_line, passes

T = TypeVar("T")

FOUND_OUT_S, LOOK_S = 10.0, 0.1
"""A server that was lost is asked so long, and so often, what became of a transaction: less than
`LEASE_TTL_S`, because signs of life are given in transactions."""

_Connection: TypeAlias = Connection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A connection, and the pipeline that it is in, if it is in one.

    In a pipeline statements are only sent; `rows` waits for the answers of all of them. Then the transaction
    is idle, and the server ends it if it stays so. A server that waits for the rest of a pipeline does not
    count as idle, so nothing waits in the midst of it."""

    connection: Connection[tuple[Any, ...]]
    pipeline: Pipeline | None = None

    def execute(self, sql: str, values: Params | None = None) -> Cursor[tuple[Any, ...]]:
        """Send a statement."""
        return self.connection.execute(sql.encode(), values)

    def rows(self, cursor: Cursor[tuple[Any, ...]]) -> list[Any]:
        """The rows of a statement that was sent."""
        if cursor.pgresult is None:
            self.wait()
        return cursor.fetchall()

    def wait(self) -> None:
        """Have the answers of all statements. Raises the error of the first one that failed."""
        if self.pipeline is not None:
            send_all(self.connection)
            self.pipeline.sync()


def send_all(connection: Connection[tuple[Any, ...]]) -> None:
    """Wait until the system has taken what was sent, and would take a little more. The driver tries once to
    send the end of a pipeline, then waits for answers: with megabytes before it, it would wait for ever."""
    if not connection.closed:
        connection.wait(_sending(connection.pgconn))


def _sending(connection: PGconn) -> Generator[Wait, Ready | int, None]:
    while connection.flush():
        if (yield Wait.RW) & Ready.R:
            connection.consume_input()
    yield Wait.W


def read(pool: Pool, ask: Callable[[Conversation], T]) -> T:
    """Ask something that changes nothing; once more, if the connection has been lost since it was used."""
    try:
        with pool.connection() as connection:
            return ask(Conversation(connection))
    except Error as error:
        _require_lost(pool, error)
    with pool.connection() as connection:
        return ask(Conversation(connection))


@contextmanager
def begun(pool: Pool, begin: str = "BEGIN") -> Iterator[_Connection]:
    """A transaction, on a connection that was alive when it began; it is ended by `commit`."""
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(pool.connection())
            connection.execute(begin.encode(), prepare=False)
        except Error as error:
            stack.close()
            _require_lost(pool, error)
            connection = stack.enter_context(pool.connection())
            connection.execute(begin.encode(), prepare=False)
        yield connection


@contextmanager
def pipelined(connection: _Connection) -> Iterator[Conversation]:
    """A pipeline. A connection that is lost when all was answered, or found out, does not matter."""
    is_done = False
    try:
        with connection.pipeline() as pipeline:
            try:
                yield Conversation(connection, pipeline)
            finally:
                send_all(connection)
            is_done = True
    except Error:
        if not is_done or not connection.closed:
            raise


def _require_lost(pool: Pool, error: Error) -> None:
    """Raises an error again, unless it is that of a connection that was lost. Others have been lost with it:
    they are tried, so that who asks next gets one that is alive."""
    if isinstance(error, PoolTimeout) or not passes(error):
        raise error
    pool.check()


def commit(
    pool: Pool,
    conversation: Conversation,
    has_happened: Callable[[Conversation], bool],
) -> None:
    """End a transaction.

    If the connection is lost meanwhile, another one is asked whether it has happened: `has_happened` first
    waits for a lock that the transaction has, so its end has come then. The server could say how one with
    some number has ended; but after a crash, or on a standby, numbers that nothing was kept of are given
    again.

    Raises the error if it has not, `Unknown` if nobody answers in time."""
    try:
        conversation.connection.execute("COMMIT", prepare=False)
        conversation.wait()
    except Error as error:
        if not conversation.connection.closed or not _found_out(pool, has_happened, error):
            raise


class Unknown(Exception):
    """Nobody knows whether a transaction was committed."""


def _found_out(pool: Pool, has_happened: Callable[[Conversation], bool], error: Error) -> bool:
    end_s = time.monotonic() + FOUND_OUT_S
    while (left_s := end_s - time.monotonic()) > 0:
        with suppress(Error), pool.connection(left_s) as connection, connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = {max(1, round(left_s * 1_000))}".encode())
            return has_happened(Conversation(connection))
        time.sleep(LOOK_S)
    raise Unknown(in_one_line(error)) from error
