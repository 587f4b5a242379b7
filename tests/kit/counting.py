"""Counting the statements that calls take: between a program and a server, each is a round trip."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import apsw

from dp3.sqlite.statements import LARGEST

_ROW = r"\(\?(?:, \?)*\)"
_ROWS = re.compile(rf"{_ROW}(?:, {_ROW})*")


class Statements:
    """Executions of statements by the program (not by triggers) on SQLite connections, in their order.

    A list of rows goes in blocks: first of `LARGEST` rows, then of fewer and fewer. However long it is, it
    counts as one statement. One that is executed anew for each of several rows counts each time.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._last = ("", 0)

    def taken_by(self, call: Callable[[], Any]) -> int:
        """The number of statements that a call takes."""
        return self.of(call).total()

    def of(self, call: Callable[[], Any]) -> Counter[str]:
        """The statements that a call takes, each with how often."""
        before = self._counts.copy()
        call()
        return self._counts - before

    def watch(self, connection: apsw.Connection) -> None:
        """Count what a connection does from now on."""
        connection.exec_trace = self._note

    def _note(self, _cursor: Any, sql: str, _values: Any) -> bool:
        found = max(_ROWS.findall(sql), key=len, default="")
        shape, rows = sql.replace(found, "…") if found else sql, found.count("(")
        before, rows_before = self._last
        if shape != before or not (rows < rows_before or rows_before == LARGEST):
            self._counts[shape] += 1
        self._last = shape, rows
        return True


@contextmanager
def counting() -> Iterator[Statements]:
    """Counts on all connections that are opened in the block."""
    statements = Statements()
    apsw.connection_hooks.append(statements.watch)
    try:
        yield statements
    finally:
        apsw.connection_hooks.remove(statements.watch)
