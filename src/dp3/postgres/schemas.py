"""The schema of an application in a database: whose it is, and the versions of the tables in it."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from psycopg import Connection

from dp3.files import OtherFormat
from dp3.postgres.connecting import check_schema, connected, shown

LOCK = 0x6470_3373
"""First half of the lock under which a schema is changed; the second one is of its name."""

TABLES = """
CREATE TABLE schema_part (name text PRIMARY KEY, version bigint NOT NULL);
CREATE TABLE schema_directory (directory text NOT NULL);
CREATE TABLE schema_user (name text PRIMARY KEY, alone boolean NOT NULL, seen timestamptz NOT NULL)
"""

logger = logging.getLogger(__name__)

Step: TypeAlias = Callable[[Connection[Any]], object]
"""Changes tables by a connection that finds the schema, within a transaction."""


@dataclass(frozen=True, slots=True)
class Part:
    """Tables that are made together, and migrated together: the log, or the state.

    `make` makes them as they are now. `migrations` has for each version from 2 on the step from the one
    before; with each of them `fence` keeps away processes of older versions that still run."""

    name: str
    make: Step
    migrations: Mapping[int, Step] = field(default_factory=dict)
    fence: Step = lambda connection: None

    @property
    def version(self) -> int:
        """The version that this program reads and writes."""
        return max(self.migrations, default=1)


def bring_up(url: str, schema: str, part: Part) -> None:
    """Have the tables of a part in a schema, in this program's version: made, or migrated step by step.

    Each step is one transaction, under a lock: of several processes one does it, and one that is killed
    leaves the version before. Raises `FormatError` if a newer program has migrated them, `ServerUnusable`."""
    check_schema(schema)
    with connected(url) as connection:
        while _is_changed(connection, f"{shown(url)}, schema {schema}", schema, part):
            pass


def _is_changed(connection: Connection[Any], place: str, schema: str, part: Part) -> bool:
    """Make the next step; False if none is left."""
    with changing(connection, schema):
        found = connection.execute("SELECT version FROM schema_part WHERE name = %s", (part.name,)).fetchone()
        if found is None:
            part.make(connection)
            connection.execute("INSERT INTO schema_part VALUES (%s, %s)", (part.name, part.version))
            return False
        (version,) = found
        if version > part.version:
            raise OtherFormat(
                f"{place}: the {part.name} has version {version}, but this program knows versions up to"
                f" {part.version}; a newer program has migrated it, so update this one"
            )
        if version == part.version:
            return False
        logger.warning("%s: the %s is migrated to version %d", place, part.name, version + 1)
        part.fence(connection)
        part.migrations[version + 1](connection)
        connection.execute("UPDATE schema_part SET version = version + 1 WHERE name = %s", (part.name,))
        return True


def note_directory(url: str, schema: str, directory: str) -> None:
    """Note the directory of the configuration after which a schema is named. Raises `OtherFormat` if it is
    named after another one: then it has the data of another application. Raises `ServerUnusable`."""
    check_schema(schema)
    with connected(url) as connection, changing(connection, schema):
        found = connection.execute("SELECT directory FROM schema_directory").fetchone()
        if found is None:
            connection.execute("INSERT INTO schema_directory VALUES (%s)", (directory,))
        elif found[0] != directory:
            raise OtherFormat(
                f"{shown(url)}: the schema {schema} was made for the application in {found[0]}, this one is"
                f" in {directory}. If it is the same one, say `schema_name: {schema}` in database.yml,"
                " otherwise give it a name of its own there"
            )


@contextmanager
def changing(connection: Connection[Any], schema: str) -> Iterator[None]:
    """A transaction that finds a schema, which is made if it is missing; nobody else changes it meanwhile."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (LOCK, schema))
        connection.execute(f"SET LOCAL search_path = {schema}".encode())
        if not _exists(connection, "to_regclass", f"{schema}.schema_part"):
            if not _exists(connection, "to_regnamespace", schema):
                connection.execute(f"CREATE SCHEMA {schema}".encode())
            connection.execute(TABLES)
        yield


def _exists(connection: Connection[Any], look: str, name: str) -> bool:
    return connection.execute(f"SELECT {look}(%s) IS NOT NULL".encode(), (name,)).fetchone() == (True,)
