"""The log is asked about many entries with as many statements as about few (see `kit.counting`)."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dp3.clock import FakeClock
from dp3.log.port import Append, Lane, Log
from dp3.log.sqlite import open_log
from kit.counting import Statements, counting

BACKENDS = ("sqlite",)

ENTRIES = 1_000


@pytest.fixture
def statements() -> Iterator[Statements]:
    with counting() as found:
        yield found


@pytest.fixture
def log(statements: Statements, tmp_path: Path) -> Iterator[Log]:
    """A log of a thousand entries."""
    opened = open_log(tmp_path, FakeClock())
    opened.append([Append([{0: b"x"}])] * ENTRIES)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    "ask",
    [lambda log, n: log.bounds(range(n)), lambda log, n: log.waiting(Lane.MAIN, range(n))],
    ids=["bounds of orders", "what waits above offsets"],
)
def test_many_places_in_the_log_take_as_many_statements_as_one(
    log: Log, statements: Statements, ask: Callable[[Log, int], object]
) -> None:
    one, many = (statements.taken_by(lambda n=n: ask(log, n)) for n in (1, ENTRIES))  # type: ignore[misc]
    assert one == many <= 8
