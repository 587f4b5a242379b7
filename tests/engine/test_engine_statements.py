"""Work takes as many statements for many entities and links as for few: a list of rows counts as one (see
`kit.counting`)."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dp3.model.spec import ModelSpec
from dp3.model.wire import WireTask
from kit.counting import Statements, counting
from kit.engine import Engine
from kit.points import delete, plain, seen, task
from kit.specs import a_type, each_point, plain_attr

pytestmark = pytest.mark.files

FEW, MANY = 5, 30
"""Both fit into one slice of each kind of work."""

OF_TIME = 10
"""Slices end after some time, too: on a busy machine there are a few more of them."""

LINKED = ModelSpec({"a": a_type("a", {"to": plain_attr("link<a>"), "seen": each_point("link<a>")})})


@pytest.fixture
def statements() -> Iterator[Statements]:
    with counting() as found:
        yield found


Case = tuple[list[WireTask], list[list[WireTask]]]
"""Tasks that a worker has done before, and then entries of the log."""


def taken(statements: Statements, directory: Path, case: Case) -> Counter[str]:
    """The statements that a worker takes for entries, and for all that follows from them."""
    engine = Engine(directory, LINKED)
    with engine.worker(threads=0) as worker:
        engine.send(*case[0])
        worker.finish()
        for entry in case[1]:
            engine.send(*entry)
        found = statements.of(worker.finish)
        assert engine.count("garbage") == engine.count("tombstone") == engine.count("outbox") == 0
    engine.close()
    return found


def linked(number: int, target: str) -> WireTask:
    """An entity that refers to another by all kinds of attributes."""
    link = {"eid": target}
    return task(f"e{number:03}", plain("to", link), seen("seen", link, 1, 2))


def one_target(n: int) -> Case:
    """Many refer to one that is deleted."""
    return [linked(0, "x"), *(linked(k, "e000") for k in range(1, n))], [[delete("e000")]]


def many_targets(n: int) -> Case:
    """Many are deleted, to each of which another one refers."""
    targets = [task(f"t{k}", plain("to", {"eid": "x"})) for k in range(n)]
    return targets + [linked(k, f"t{k}") for k in range(n)], [[delete(f"t{k}") for k in range(n)]]


def many_entries(n: int) -> Case:
    """Many are deleted by entries of the log of their own."""
    return [linked(k, "x") for k in range(n)], [[delete(f"e{k:03}")] for k in range(n)]


@pytest.mark.parametrize("case", [one_target, many_targets, many_entries])
def test_deletions_and_the_removal_of_links_take_as_many_for_many(
    statements: Statements, tmp_path: Path, case: Callable[[int], Case]
) -> None:
    few, many = (taken(statements, tmp_path / str(n), case(n)) for n in (FEW, MANY))
    assert not {sql: more for sql, more in (many - few).items() if more > OF_TIME}
