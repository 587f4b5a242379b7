"""Opening the state of an application on a server, making it the first time."""

import re

import psycopg

from dp3.clock import Clock
from dp3.model.partition import DEFAULT_PARTITIONS
from dp3.statements import Statements
from dp3.store.ports.counters import NO_EVENTS, EventGroups
from dp3.store.ports.state import State
from dp3.store.postgres.database import PostgresDatabase
from dp3.store.postgres.dialect import translated
from dp3.store.postgres.query_builder import PostgresQueryBuilder, templates
from dp3.store.sql.assembly import assembled
from dp3.store.sql.queries import Queries
from dp3.store.sql.statements import load_state_statements

PACKAGE = "dp3.store.postgres"

QUERY_LIMIT_S = 5.0

MAKING = 0x6470_3373
"""The lock under which the tables are made."""

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def open_state(
    url: str,
    schema: str,
    clock: Clock,
    *,
    partitions: int = DEFAULT_PARTITIONS,
    max_dead_letters: int = 100_000,
    query_limit_s: float = QUERY_LIMIT_S,
    event_groups: EventGroups = NO_EVENTS,
) -> State:
    """Open the state of an application in the database `url`, in the schema named `schema`, which is made if
    it is missing, also by several processes at once. `partitions` counts when it is made and is read from it
    afterwards. The rest is as in `dp3.store.sqlite.open_state`."""
    if not _NAME.fullmatch(schema):
        raise ValueError(f"the name of a schema must be like 'my_app', got {schema!r}")
    sql = load_state_statements(PACKAGE)
    _make(url, schema, partitions, sql)
    statements = {name: translated(one) for name, one in sql.items() if name != "schema.schema"}
    database = PostgresDatabase(url, schema, statements)
    queries = templates({name: one.text for name, one in statements.items()})
    return assembled(
        database,
        database.value("schema.partitions"),
        clock,
        queries=Queries(database, queries, PostgresQueryBuilder, query_limit_s),
        changes=database.changes,
        close=database.close,
        max_dead_letters=max_dead_letters,
        event_groups=event_groups,
    )


def _make(url: str, schema: str, partitions: int, sql: Statements) -> None:
    """Make the tables, unless they are there."""
    if partitions < 1:
        raise ValueError(f"partitions must be at least 1, got {partitions}")
    with psycopg.connect(url) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (MAKING,))
        found = connection.execute("SELECT to_regclass(%s)", (f"{schema}.number",)).fetchone()
        if found is not None and found[0] is not None:
            return
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        connection.execute(f"SET LOCAL search_path = {schema}")
        connection.execute(sql["schema.schema"])
        for name in ("set_partitions", "add_positions"):
            statement = translated(sql[f"schema.{name}"])
            connection.execute(statement.text, {"partitions": partitions})
