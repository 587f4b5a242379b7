"""Sessions on SQLite."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any

import apsw
import msgspec

from dp3.sqlite import run_for_rows
from dp3.statements import Statements
from dp3.store.sql.session import Row, Values
from dp3.store.sql.statements import EACH, ROWS, load_state_statements

_encode = msgspec.json.Encoder().encode


@cache
def sqlite_statements() -> Statements:
    """All statements as SQLite takes them: it knows no types of columns, lists are JSON."""
    statements = load_state_statements("dp3.store.sqlite")
    found = {name: EACH.sub(r"json_each(\1)", ROWS.sub("{rows}", sql)) for name, sql in statements.items()}
    return Statements(found, "dp3.store.sqlite")


class SqliteSession:
    """See `dp3.store.sql.session.Session`. A list as a parameter becomes JSON, for `json_each`: many rows are
    found in one step, without the interpreter's lock."""

    def __init__(self, connection: apsw.Connection, statements: Statements) -> None:
        self.connection = connection
        self.sql = statements
        connection.convert_binding = _converted

    def run(self, name: str, values: Values = ()) -> None:
        """See the protocol."""
        self.connection.execute(self.sql[name], values)

    def affected(self, name: str, values: Values = ()) -> int:
        """See the protocol."""
        self.connection.execute(self.sql[name], values)
        return self.connection.changes()

    def rows(self, name: str, values: Values = ()) -> list[Any]:
        """See the protocol."""
        return self.connection.execute(self.sql[name], values).fetchall()

    def stream(self, name: str, values: Values = ()) -> Iterator[Any]:
        """See the protocol."""
        return iter(self.connection.execute(self.sql[name], values))

    def row(self, name: str, values: Values = ()) -> Row | None:
        """See the protocol."""
        found: Row | None = self.connection.execute(self.sql[name], values).fetchone()
        return found

    def value(self, name: str, values: Values = ()) -> Any:
        """See the protocol."""
        return self.connection.execute(self.sql[name], values).get

    def each(self, name: str, rows: Iterable[Values]) -> None:
        """See the protocol."""
        self.connection.executemany(self.sql[name], rows)

    def bulk(self, name: str, rows: Sequence[Sequence[Any]], *others: Any) -> None:
        """See the protocol."""
        run_for_rows(self.connection, self.sql[name], rows, *others)

    def bulk_rows(self, name: str, rows: Sequence[Sequence[Any]], *others: Any) -> list[Any]:
        """See the protocol."""
        return run_for_rows(self.connection, self.sql[name], rows, *others)

    def ask_bulk(self, name: str, rows: Sequence[Sequence[Any]], *others: Any) -> Callable[[], list[Any]]:
        """See the protocol. There is nobody to wait for."""
        found = self.bulk_rows(name, rows, *others)
        return lambda: found

    def named(self, prefix: str) -> list[str]:
        """See the protocol."""
        return [name for name in self.sql if name.startswith(prefix)]


def _converted(_: object, __: object, value: object) -> str:
    if isinstance(value, list | tuple):
        return _encode(value).decode()
    raise TypeError(f"SQLite has no {type(value).__name__}; expected a number, a text, bytes, None or a list")
