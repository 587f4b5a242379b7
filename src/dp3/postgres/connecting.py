"""Connections to a server."""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeAlias

import psycopg
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import ConnectionPool

from dp3.postgres.arrays import register_arrays
from dp3.postgres.failures import in_one_line
from dp3.postgres.values import prepare_connection

MOST_CONNECTIONS = 16
"""Of a pool, by default; more threads at once wait for one."""

WAIT_S = 30.0
"""A process that starts waits so long for the server."""

TURN_S = 5.0
"""A thread waits so long for a connection, and a pool tries to connect: less than `LEASE_TTL_S`, so that
signs of life do not wait for a server that is away."""

CONNECT_S = 5
"""Each host of an address is given so long to answer."""

IDLE_S = 15
"""The server ends a transaction in which a client has said nothing for so long: it stands still, and others
wait for what it has locked. As long as a worker may be silent that holds a lease."""

ANSWER_S = 10
"""A connection is lost when the other end's system has confirmed nothing for so long."""

CONNECTION = {
    "connect_timeout": CONNECT_S,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": ANSWER_S * 1_000,
}
"""Of all connections, unless the address says something else: a host that has vanished without a word is
noticed after some 10 s."""

OLDEST_VERSION = 150_000

Pool: TypeAlias = ConnectionPool[Connection[tuple[Any, ...]]]

MOST_NAME = 40
"""Characters of a schema in the name of a connection, which the server cuts at 63."""

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class ServerUnusable(Exception):
    """The server does not answer, or refuses what is needed of it. The message names it, without its
    password."""


@contextmanager
def named_server(url: str) -> Iterator[None]:
    """Raise `ServerUnusable` for what the server refuses in the block."""
    try:
        yield
    except psycopg.Error as error:
        raise ServerUnusable(f"{shown(url)}: {in_one_line(error)}") from error


def shown(url: str) -> str:
    """An address without its password."""
    try:
        found = conninfo_to_dict(url)
    except psycopg.Error:
        return "the address of the database"
    place = f"{found.get('host', '')}/{found.get('dbname', '')}"
    return f"postgresql://{place}"


def with_password(url: str, password: str) -> str:
    """An address with a password, in place of that which it may have."""
    return make_conninfo(url, password=password)


def check_schema(name: str) -> None:
    """Raise `ValueError` unless a schema can be called so."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"the name of a schema must be like 'my_app', got {name!r}")


def _defaults(url: str) -> dict[str, Any]:
    """Limits of all connections, unless the address says something else."""
    said = conninfo_to_dict(url)
    return {name: value for name, value in CONNECTION.items() if name not in said}


@contextmanager
def connected(url: str) -> Iterator[Connection[Any]]:
    """One connection, until the end of the block. Raises `ServerUnusable`, also for what the server refuses
    in the block."""
    with (
        named_server(url),
        psycopg.connect(make_conninfo(url, **_defaults(url)), autocommit=True) as connection,
    ):
        if connection.info.server_version < OLDEST_VERSION:
            found_version = connection.info.server_version // 10_000
            raise ServerUnusable(f"{shown(url)}: expected PostgreSQL 15 or newer, got {found_version}")
        yield connection


def open_pool(url: str, schema: str, most: int = MOST_CONNECTIONS) -> Pool:
    """At most so many connections that find the tables of an application in a schema. Each statement is a
    transaction, if none was begun."""
    check_schema(schema)
    options = f"-c search_path={schema} -c timezone=UTC -c default_transaction_isolation=read\\ committed"
    options += f" -c idle_in_transaction_session_timeout={IDLE_S}s"
    pool: Pool = ConnectionPool(
        make_conninfo(url, options=options, application_name=process_name(schema), **_defaults(url)),
        min_size=1,
        max_size=most,
        timeout=TURN_S,
        reconnect_timeout=TURN_S,
        configure=_configure,
        open=False,
    )
    with named_server(url):
        pool.open(wait=True, timeout=WAIT_S)
        _require_schema(pool, url, schema)
    return pool


def _require_schema(pool: Pool, url: str, schema: str) -> None:
    """Raise `ServerUnusable` if connections do not begin in the schema: a pooler may not hand on what they
    ask for."""
    with pool.connection() as connection:
        found = connection.execute("SELECT current_schema()").fetchone()
    if found != (schema,):
        raise ServerUnusable(
            f"{shown(url)}: connections do not begin in schema {schema}; have the pooler set it, "
            f"PgBouncer by connect_query='SET search_path = {schema}'"
        )


def process_name(schema: str) -> str:
    """The name of all connections of this process to an application, and of no others."""
    return f"dp3 {schema[:MOST_NAME]} {_token(os.getpid())}"


@cache
def _token(_: int) -> str:
    return secrets.token_hex(6)


def _configure(connection: Connection[Any]) -> None:
    connection.autocommit = True
    connection.prepare_threshold = None if _is_pooled(connection) else 3
    prepare_connection(connection)
    register_arrays(connection)


def _is_pooled(connection: Connection[Any]) -> bool:
    """True if a pooler is in between, which gives each transaction another connection to the server: so there
    are no prepared statements."""
    found = connection.execute("SELECT pg_backend_pid()").fetchone()
    return found != (connection.info.backend_pid,)
