"""Queries on SQLite."""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import apsw

from dp3.store.ports.snapshots import Key
from dp3.store.sql.query_builder import QueryBuilder
from dp3.store.sql.session import Session, Values
from dp3.store.sqlite.session import SqliteSession

STEPS = 20_000
"""The limit is looked at every so many steps of SQLite, some 0.5 ms."""

MAX_LISTED = 10_000
"""So many keys are looked up in the index; of more, every key at the path is tested in Python."""


class SqliteQueryBuilder(QueryBuilder):
    """See `QueryBuilder`. Keys are stored as they are; statements can call Python."""

    session: SqliteSession
    unindexed_key = "+k.key"
    no_limit = "-1"

    def __init__(self, session: Session, sql: Mapping[str, str], etype: str, limit_s: float) -> None:
        super().__init__(session, sql, etype, limit_s)
        self._functions: list[str] = []

    @contextmanager
    def limited(self) -> Iterator[None]:
        """See `QueryBuilder`."""
        connection = self.session.connection
        connection.set_progress_handler(self.is_over, STEPS)
        try:
            yield
        except apsw.InterruptError:
            raise self.too_slow() from None
        finally:
            connection.set_progress_handler(None)
            for name in self._functions:  # the connection goes to others
                connection.create_scalar_function(name, None)

    def ask(self, sql: str, values: Values) -> Sequence[Any]:
        """See `QueryBuilder`."""
        return self.session.connection.execute(sql, values).fetchall()

    def stored(self, key: Key) -> Any:
        """See `QueryBuilder`."""
        return key

    def key_of(self, stored: Any) -> Key:
        """See `QueryBuilder`."""
        key: Key = stored
        return key

    def among(self, keys: Sequence[Key]) -> str | None:
        """See `QueryBuilder`. Keys of each type are one array; those take no text that has a NUL."""
        if len(keys) > MAX_LISTED or any(type(key) is str and "\0" in key for key in keys):
            return None
        arrays: list[Any] = [
            array("q", (key for key in keys if type(key) is int)),
            array("d", (key for key in keys if type(key) is float)),
            tuple(key for key in keys if type(key) is str),
            tuple(key for key in keys if type(key) is bytes),
        ]
        names = [self.parameter(apsw.carray(values)) for values in arrays if values]
        return f"IN ({' UNION ALL '.join(f'SELECT value FROM carray({name})' for name in names)})"

    def function(self, test: Callable[[Any], bool]) -> str:
        """See `QueryBuilder`."""
        name = f"test_{len(self._functions)}"
        self.session.connection.create_scalar_function(name, test, 1)  # type: ignore[arg-type]
        self._functions.append(name)
        return name

    def _placeholder(self, name: str) -> str:
        return f":{name}"
