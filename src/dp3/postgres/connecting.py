"""Connections to a server."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import psycopg
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import ConnectionPool

from dp3.postgres.arrays import register_arrays
from dp3.postgres.values import prepare_connection

MOST_CONNECTIONS = 16
"""Of a pool, by default; more threads at once wait for one."""

WAIT_S = 30.0
"""A thread waits so long for a connection."""

OLDEST_VERSION = 150_000

Pool: TypeAlias = ConnectionPool[Connection[tuple[Any, ...]]]

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
        reason = " ".join(str(error).split())
        raise ServerUnusable(f"{shown(url)}: {reason}") from error


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


@contextmanager
def connected(url: str) -> Iterator[Connection[Any]]:
    """One connection, until the end of the block. Raises `ServerUnusable`, also for what the server refuses
    in the block."""
    with (
        named_server(url),
        psycopg.connect(url, connect_timeout=round(WAIT_S), autocommit=True) as connection,
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
    pool: Pool = ConnectionPool(
        make_conninfo(url, options=options, application_name=f"dp3 {schema}"),
        min_size=1,
        max_size=most,
        timeout=WAIT_S,
        configure=_configure,
        open=False,
    )
    with named_server(url):
        pool.open(wait=True, timeout=WAIT_S)
    return pool


def _configure(connection: Connection[Any]) -> None:
    connection.autocommit = True
    connection.prepare_threshold = 3
    prepare_connection(connection)
    register_arrays(connection)
