"""Reads the state of a program that is running: asking it in its own way costs it next to nothing."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from dp3.history.segments import decode_segments
from dp3.sqlite import connect
from dp3.statements import load_statements

Execute: TypeAlias = Callable[[str, Sequence[Any]], Iterable[Any]]
"""Runs a statement of SQLite with its parameters; the rows, as tuples."""


class StateView:
    """The state as benchmarks see it: they wait for it and check it. For one thread."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute
        self._sql = load_statements("dp3.bench", "state.sql")

    def has_fresh(self) -> bool:
        """True if there is history that is not packed."""
        return self._is("has_fresh")

    def fresh(self) -> int:
        """Data-points that are not packed."""
        return self._number("fresh")

    def has_packing_begun(self) -> bool:
        """True if packing has ever begun."""
        return self._is("has_packing_begun")

    def has_garbage(self) -> bool:
        """True if rows of deleted entities are still to be removed."""
        return self._is("has_garbage")

    def reported(self) -> int:
        """The time (µs) until which the reports of all workers go, 0 before there are any."""
        return self._number("reported")

    def entities(self, etype: str) -> int:
        """The number of entities of a type."""
        return self._number("entities", etype)

    def history(self) -> tuple[int, int]:
        """Data-points that all history stands for, and the rows that hold them."""
        ((points, rows),) = self._execute(self._sql["datapoints_of_history"], ())
        return int(points), int(rows)

    def segments(self) -> int:
        """Read and decode all packed history, as whoever looks at it must; the number of its segments."""
        rows = self._execute(self._sql["segments"], ())
        return sum(sum(1 for _ in decode_segments(segments)) for _, _, _, segments in rows)

    def _is(self, statement: str) -> bool:
        return bool(self._number(statement))

    def _number(self, statement: str, *values: Any) -> int:
        ((number,),) = self._execute(self._sql[statement], values)
        return int(number)


def state_file(data: Path) -> Path:
    """The file of the state in a data directory."""
    return data / "state" / "state.db"


@contextmanager
def state_of(data: Path) -> Iterator[StateView]:
    """The state in a data directory."""
    connection = connect(state_file(data), synchronous="NORMAL", readonly=True)
    try:
        yield StateView(connection.execute)
    finally:
        connection.close()
