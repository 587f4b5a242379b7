"""One question on one connection: its parameters, its Python functions, and its time limit."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import apsw

from dp3.store.ports.errors import QueryTooSlow

TRUE, FALSE = "1", "0"

STEPS = 20_000
"""The limit is looked at every so many steps of SQLite, some 0.5 ms."""

MAX_PARAMETERS = 30_000
"""SQLite takes 32 766."""


class SqlBuilder:
    """What the SQL of a question refers to: `parameter` and `function` give names to put into it."""

    def __init__(self, connection: apsw.Connection, etype: str, limit_s: float) -> None:
        self.connection = connection
        self.etype = etype
        self._limit_s = limit_s
        self._deadline = time.monotonic() + limit_s
        self._parameters: dict[str, Any] = {}
        self._functions: list[str] = []

    def parameter(self, value: Any) -> str:
        """The name of a parameter with a value."""
        if len(self._parameters) >= MAX_PARAMETERS:
            raise ValueError(f"a question may have up to {MAX_PARAMETERS} values; ask several questions")
        name = f"p{len(self._parameters)}"
        self._parameters[name] = value
        return f":{name}"

    def function(self, test: Callable[..., bool], arguments: int) -> str:
        """The name of an SQL function that calls `test`."""
        name = f"test_{len(self._functions)}"
        self.connection.create_scalar_function(name, test, arguments)
        self._functions.append(name)
        return name

    def rows(self, sql: str) -> apsw.Cursor:
        """Run a statement made of these names."""
        return self.connection.execute(sql, self._parameters)

    def is_over(self) -> bool:
        """Whether the time for it has passed."""
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
def asking(connection: apsw.Connection, etype: str, limit_s: float) -> Iterator[SqlBuilder]:
    """A question about a type; raises `QueryTooSlow` when it takes longer than `limit_s`."""
    question = SqlBuilder(connection, etype, limit_s)
    connection.set_progress_handler(question.is_over, STEPS)
    try:
        yield question
    except apsw.InterruptError:
        raise question.too_slow() from None
    finally:
        connection.set_progress_handler(None)
        question.close()
