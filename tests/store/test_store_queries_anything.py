"""Any question about any snapshots is answered as a plain Python evaluation answers it."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dp3.clock import FakeClock
from dp3.store.ports.batches import Batch
from dp3.store.ports.queries import And, Between, Has, Not, OneOf, Or, Order, TextMatches
from dp3.store.sqlite import open_state
from kit.rows import take_lease
from kit.run_rows import Keys, a_run, in_order, matches, with_snapshots

PATHS = ("load", "name", "tags")

numbers = st.one_of(st.integers(-3, 3), st.sampled_from([-0.5, 1.0, 2.5, float("inf"), 2**63, -(2**70)]))
texts = st.text("ab\x00é\U0010ffff", max_size=2)
keys = st.one_of(numbers, texts, st.binary(max_size=1))
documents = st.fixed_dictionaries(
    {}, optional={path: st.sets(keys, max_size=1 if path == "load" else 3) for path in PATHS}
)
paths = st.sampled_from([*PATHS, "eid", "unknown"])


@st.composite
def ranges(draw: st.DrawFn) -> Between:
    low, high = draw(st.none() | keys), draw(st.none() | keys)
    low = draw(keys) if low is None and high is None else low
    return Between(draw(paths), low, high, draw(st.booleans()), draw(st.booleans()))


def begins_with(path: str, prefix: str, end: str, in_lines: bool) -> TextMatches:
    """With `\\A` a pattern is not tested of many lines at once."""
    literal = "".join(f"\\x{{{ord(character):x}}}" for character in prefix)
    begin = "^" if in_lines else "\\A"
    return TextMatches(path, f"{begin}{literal}.*{end}$", "s", prefix)


leaves = st.one_of(
    st.builds(Has, paths),
    st.builds(OneOf, paths, st.lists(keys, max_size=3).map(tuple)),
    ranges(),
    st.builds(begins_with, paths, texts, st.sampled_from(["", "a"]), st.booleans()),
)
trees = st.recursive(
    leaves,
    lambda parts: st.one_of(
        st.builds(And, st.lists(parts, max_size=3).map(tuple)),
        st.builds(Or, st.lists(parts, max_size=3).map(tuple)),
        st.builds(Not, parts),
    ),
    max_leaves=6,
)
orders = st.lists(st.builds(Order, st.sampled_from([*PATHS, "eid"]), st.booleans()), max_size=3)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any, int, Iterator[int]]]:
    """One state with a run for all examples: each has a type and entities of its own."""
    store = open_state(Path(tmp_path_factory.mktemp("state")), FakeClock(), query_limit_s=60)
    lease = take_lease(store)
    yield store, lease, a_run(store, 1000), count(1)
    store.close()


def storable(document: Keys) -> Keys:
    """As the index takes them: integers beyond 64 bits are floats."""
    return {
        path: {float(key) if isinstance(key, int) and abs(key) >= 2**63 else key for key in of_path}
        for path, of_path in document.items()
    }


def all_pages(store: Any, etype: str, where: Any, order: list[Order]) -> list[str]:
    eids: list[str] = []
    page = store.queries.find(etype, where, order, limit=1)
    while page:
        eids.append(page[0].eid)
        page = store.queries.find(etype, where, order, limit=1, after=page[0].cursor)
    return eids


@given(
    documents=st.lists(documents, max_size=8),
    where=trees,
    order=orders,
    deleted=st.sets(st.integers(0, 7)),
    skip=st.integers(0, 3),
    plan=st.sampled_from(["ask", "walk"]),
)
def test_any_question_is_answered_as_by_looking_at_every_entity(
    state: tuple[Any, Any, int, Iterator[int]],
    documents: list[Keys],
    where: Any,
    order: list[Order],
    deleted: set[int],
    skip: int,
    plan: str,
) -> None:
    store, lease, run, moments = state
    first, etype = next(moments) * 100, f"type{next(moments)}"
    entities = {first + n: {**storable(doc), "eid": {first + n}} for n, doc in enumerate(documents)}
    with_snapshots(store, lease, run, etype, entities)
    gone = {first + n for n in deleted if first + n in entities}
    store.batches.commit(lease, Batch(deleted=sorted(gone)))
    found = {key: keys for key, keys in entities.items() if key not in gone and matches(where, keys)}
    expected = [str(key) for key in in_order(found, order)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dp3.store.sql.conditions.TEXT_PAGE", 2)
        patch.setattr("dp3.store.sql.conditions.FEW_TEXTS", 1)
        if plan == "walk":
            patch.setattr("dp3.store.sql.access_paths.SAFE", 0)
            patch.setattr("dp3.store.sql.access_paths.COUNTED", 0)
        rows = store.queries.find(etype, where, order, skip, limit=2)
        assert [row.eid for row in rows] == expected[skip : skip + 2]
        assert all_pages(store, etype, where, order) == expected
    assert [row.eid for row in store.queries.find(etype, where, order, limit=None)] == expected
    assert store.queries.count(etype, where) == len(expected)
    store.entities.collect_garbage(lease, 10_000)
    assert store.queries.count(etype, where) == len(expected)
