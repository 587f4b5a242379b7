"""One query on one connection: its parameters, its Python functions, its paths, and its time limit."""

import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import apsw

from dp3.statements import Statements
from dp3.store.ports.errors import QueryTooLarge, QueryTooSlow
from dp3.store.ports.snapshots import Key

TRUE, FALSE = "1", "0"

EID = "eid"
"""Every entity with a newest row has exactly one key at this path."""

STEPS = 20_000
"""The limit is looked at every so many steps of SQLite, some 0.5 ms."""

MAX_PARAMETERS = 30_000
"""SQLite takes 32 766."""


class SqlBuilder:
    """Names for the SQL of a query: of its parameters, its functions, and the paths of its entity type.
    `sql` is that of `queries.sql`."""

    def __init__(self, connection: apsw.Connection, sql: Statements, etype: str, limit_s: float) -> None:
        self.connection = connection
        self.sql = sql
        self.etype = etype
        self._limit_s = limit_s
        self._deadline = time.monotonic() + limit_s
        self._parameters: dict[str, Any] = {}
        self._functions: list[str] = []
        self._paths: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._sizes: dict[int, tuple[int, int]] = {}
        some = connection.execute(sql["any_garbage"]).get
        self.not_deleted: str = sql["not_deleted"] if some else TRUE
        """SQL that holds for an entity `e` that is not deleted."""

    def parameter(self, value: Any) -> str:
        """The name of a parameter with a value."""
        if len(self._parameters) >= MAX_PARAMETERS:
            raise QueryTooLarge(f"a question may have up to {MAX_PARAMETERS} values; ask several questions")
        name = f"p{len(self._parameters)}"
        self._parameters[name] = value
        return f":{name}"

    def listed(self, keys: Sequence[Key]) -> str:
        """A SELECT of many keys, those of each type as one array. No text may have a NUL."""
        arrays: list[Any] = [
            array("q", (key for key in keys if type(key) is int)),
            array("d", (key for key in keys if type(key) is float)),
            tuple(key for key in keys if type(key) is str),
            tuple(key for key in keys if type(key) is bytes),
        ]
        names = [self.parameter(apsw.carray(values)) for values in arrays if values]
        return " UNION ALL ".join(f"SELECT value FROM carray({name})" for name in names)

    def function(self, test: Callable[[Any], bool]) -> str:
        """The name of an SQL function that calls `test`."""
        name = f"test_{len(self._functions)}"
        self.connection.create_scalar_function(name, test, 1)  # type: ignore[arg-type]
        self._functions.append(name)
        return name

    def path(self, path: str) -> str:
        """The name of a parameter with the number of a path."""
        number = self.number(path)
        if number not in self._names:
            self._names[number] = self.parameter(number)
        return self._names[number]

    def number(self, path: str) -> int:
        """The number of a path; 0, which no key has, if there is none."""
        if path not in self._paths:
            self._paths[path] = self.connection.execute(self.sql["path"], (self.etype, path)).get or 0
        return self._paths[path]

    def sizes(self, path: str) -> tuple[int, int]:
        """(keys at a path, entities that have any); deleted ones count until they are removed.
        Where these are equal no entity has several keys."""
        number = self.number(path)
        if number not in self._sizes:
            self._sizes[number] = self.connection.execute(self.sql["sizes"], (number,)).get or (0, 0)
        return self._sizes[number]

    def rows(self, sql: str) -> apsw.Cursor:
        """Run a statement made of these names."""
        return self.connection.execute(sql, self._parameters)

    def is_over(self) -> bool:
        """True when the time for it has passed."""
        return time.monotonic() > self._deadline

    def too_slow(self) -> QueryTooSlow:
        """The error to raise then."""
        return QueryTooSlow(
            f"the question about {self.etype!r} took longer than {self._limit_s:g} s and was stopped; narrow "
            "it by an equality, a range or a prefix, or ask for fewer entities"
        )

    def close(self) -> None:
        """Take the functions away again: the connection goes to others."""
        for name in self._functions:
            self.connection.create_scalar_function(name, None)


@contextmanager
def limited(builder: SqlBuilder) -> Iterator[None]:
    """A block in which the statements of a query run; raises `QueryTooSlow` when its time is over."""
    builder.connection.set_progress_handler(builder.is_over, STEPS)
    try:
        yield
    except apsw.InterruptError:
        raise builder.too_slow() from None
    finally:
        builder.connection.set_progress_handler(None)
        builder.close()
