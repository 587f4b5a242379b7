"""Statements for many rows at once."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import apsw

LARGEST = 512
"""Rows in one statement. SQLite takes 32 766 parameters."""

ROWS = "{rows}"


def run_for_rows(
    connection: apsw.Connection, statement: str, rows: Sequence[Sequence[Any]], *others: Any
) -> list[tuple[Any, ...]]:
    """Run a statement in which `{rows}` stands for a list of rows, all of the same length: for some of them
    after the other; returns what comes of all. `others` are the values of parameters that follow the rows.

    SQLite works on hundreds of rows in one step, and the interpreter's lock is free meanwhile. With
    `executemany` there is a step for every row: beside a thread that computes, each waits for the lock.
    """
    found: list[tuple[Any, ...]] = []
    done, size = 0, LARGEST
    while done < len(rows):
        while size > len(rows) - done:
            size //= 2
        some = rows[done : done + size]
        values = (*chain.from_iterable(some), *others)
        found += connection.execute(_for(statement, size, len(some[0])), values)
        done += size
    return found


@lru_cache(maxsize=256)
def _for(statement: str, rows: int, columns: int) -> str:
    """The statement for so many rows: few different ones, so that each is prepared once."""
    row = f"({', '.join('?' * columns)})"
    return statement.replace(ROWS, ", ".join([row] * rows))
