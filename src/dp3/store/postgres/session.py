"""Sessions on PostgreSQL."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from psycopg import Connection, Cursor
from psycopg.types.json import Jsonb

from dp3.postgres.values import escaped
from dp3.store.postgres.dialect import PostgresStatement
from dp3.store.postgres.keys import encoded_key
from dp3.store.sql.session import Row, Values

LARGEST = 8_192
"""Rows in one statement."""


class PostgresSession:
    """See `dp3.store.sql.session.Session`."""

    def __init__(self, connection: Connection[Row], statements: Mapping[str, PostgresStatement]) -> None:
        self.connection = connection
        self._statements = statements
        self.has_changed = False
        """Whether a statement has changed a row."""

    def run(self, name: str, values: Values = ()) -> int:
        """See the protocol."""
        return self._execute(name, values).rowcount

    def rows(self, name: str, values: Values = ()) -> list[Any]:
        """See the protocol."""
        return self._execute(name, values).fetchall()

    def stream(self, name: str, values: Values = ()) -> Iterator[Any]:
        """See the protocol."""
        yield from self._execute(name, values)

    def row(self, name: str, values: Values = ()) -> Row | None:
        """See the protocol."""
        return self._execute(name, values).fetchone()

    def value(self, name: str, values: Values = ()) -> Any:
        """See the protocol."""
        row = self._execute(name, values).fetchone()
        return row[0] if row is not None and len(row) == 1 else row

    def each(self, name: str, rows: Iterable[Values]) -> None:
        """See the protocol."""
        for values in rows:
            self._execute(name, values)

    def bulk(self, name: str, rows: Sequence[Sequence[Any]], *others: Any) -> int:
        """See the protocol."""
        return sum(cursor.rowcount for cursor in self._bulk(name, rows, others))

    def bulk_rows(self, name: str, rows: Sequence[Sequence[Any]], *others: Any) -> list[Any]:
        """See the protocol."""
        return [row for cursor in self._bulk(name, rows, others) for row in cursor]

    def named(self, prefix: str) -> list[str]:
        """See the protocol."""
        return [name for name in self._statements if name.startswith(prefix)]

    def _execute(self, name: str, values: Values) -> Cursor[Row]:
        statement = self._statements[name]
        parameters = given(values)
        for parameter in statement.lists:
            rows = parameters[parameter]
            parameters[parameter] = Jsonb([[_plain(value) for value in row] for row in rows])
        return self._noted(self.connection.execute(statement.text, parameters))

    def _bulk(self, name: str, rows: Sequence[Sequence[Any]], others: Sequence[Any]) -> Iterator[Cursor[Row]]:
        statement = self._statements[name]
        for begin in range(0, len(rows), LARGEST):
            columns: list[list[Any]] = [
                list(column) for column in zip(*rows[begin : begin + LARGEST], strict=True)
            ]
            for number, type_ in enumerate(statement.columns):
                if type_ == "key":
                    columns[number] = list(map(encoded_key, columns[number]))
            yield self._noted(self.connection.execute(statement.text, [*columns, *map(_listed, others)]))

    def _noted(self, cursor: Cursor[Row]) -> Cursor[Row]:
        if cursor.rowcount > 0 and not (cursor.statusmessage or "").startswith("SELECT"):
            self.has_changed = True
        return cursor


def given(values: Values) -> dict[str, Any]:
    """Parameters by name; those given by place are `p1`, `p2`, …"""
    if isinstance(values, Mapping):
        return {name: _listed(value) for name, value in values.items()}
    return {f"p{number}": _listed(value) for number, value in enumerate(values, 1)}


def _plain(value: Any) -> Any:
    return escaped(value) if isinstance(value, str) else value


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
