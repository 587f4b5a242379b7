"""Opening the state of an application on a server, making it the first time."""

from collections.abc import Callable
from functools import cache
from typing import Any

from psycopg import Connection

from dp3.clock import Clock
from dp3.model.partition import DEFAULT_PARTITIONS
from dp3.postgres import MOST_CONNECTIONS, Part, Step, bring_up
from dp3.statements import Statements
from dp3.store.ports.counters import NO_EVENTS, EventGroups
from dp3.store.ports.state import State
from dp3.store.postgres.database import PostgresDatabase
from dp3.store.postgres.dialect import PostgresStatement, translated
from dp3.store.postgres.query_builder import PostgresQueryBuilder, templates
from dp3.store.sql.assembly import assembled
from dp3.store.sql.queries import Queries
from dp3.store.sql.statements import load_state_statements

MIGRATIONS: dict[int, Step] = {}
"""The steps to versions from 2 on; there is one version so far."""

PACKAGE = "dp3.store.postgres"

QUERY_LIMIT_S = 5.0


def open_state(
    url: str,
    schema: str,
    clock: Clock,
    *,
    partitions: int = DEFAULT_PARTITIONS,
    max_dead_letters: int = 100_000,
    query_limit_s: float = QUERY_LIMIT_S,
    event_groups: EventGroups = NO_EVENTS,
    connections: int = MOST_CONNECTIONS,
    lease_time: Callable[[], int] | None = None,
) -> State:
    """Open the state of an application in the database `url`, in the schema named `schema`, which is made if
    it is missing, also by several processes at once. `partitions` counts when it is made and is read from it
    afterwards. The process has at most so many `connections`. Leases go by `lease_time` (µs) or, by default,
    by the server's clock. Raises `FormatError` for a state of a newer version. The rest is as in
    `dp3.store.sqlite.open_state`."""
    sql = load_state_statements(PACKAGE)
    bring_up(url, schema, _part(partitions, sql))
    statements = _translated()
    database = PostgresDatabase(url, schema, statements, connections)
    queries = templates({name: one.text for name, one in statements.items()})
    return assembled(
        database,
        database.value("schema.partitions"),
        clock,
        lease_time=lease_time or (lambda: database.value("leases.now")),
        queries=Queries(database, queries, PostgresQueryBuilder, query_limit_s),
        changes=database.changes,
        close=database.close,
        max_dead_letters=max_dead_letters,
        event_groups=event_groups,
    )


@cache
def _translated() -> dict[str, PostgresStatement]:
    sql = load_state_statements(PACKAGE)
    return {name: translated(one) for name, one in sql.items() if name != "schema.schema"}


def _part(partitions: int, sql: Statements) -> Part:
    """The tables of the state. Workers of an older version that still run lose their leases."""
    if partitions < 1:
        raise ValueError(f"partitions must be at least 1, got {partitions}")

    def make(connection: Connection[Any]) -> None:
        connection.execute(sql["schema.schema"].encode())
        for name in ("set_partitions", "add_positions"):
            connection.execute(translated(sql[f"schema.{name}"]).text.encode(), {"partitions": partitions})

    def end_leases(connection: Connection[Any]) -> None:
        connection.execute(sql["schema.end_leases"].encode())

    return Part("state", make, MIGRATIONS, end_leases)
