"""Calls take as many statements for a thousand rows as for ten: a list of rows, in blocks of some hundred,
counts as one (see `kit.counting`). On a server each statement is a round trip."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dp3.clock import FakeClock
from dp3.store.ports.batches import NO_TARGET, Batch, EndedLink, LinkRow, OutboxRow, Tombstone
from dp3.store.ports.history import history_key
from dp3.store.ports.leases import Lease
from dp3.store.ports.lifetimes import Collection, CollectionSlice, SweepSlice
from dp3.store.ports.snapshots import SnapshotBatch
from dp3.store.ports.state import State
from dp3.store.sqlite import open_state
from kit.counting import Statements, counting
from kit.rows import a_letter, entity_row, take_lease
from kit.run_rows import FOREVER, a_link, a_run, completed, with_snapshots, written

SIZES = (10, 100, 1_000)


@pytest.fixture
def statements() -> Iterator[Statements]:
    with counting() as found:
        yield found


@pytest.fixture
def opened(statements: Statements, tmp_path: Path) -> Iterator[State]:
    found = open_state(tmp_path, FakeClock())
    yield found
    found.close()


@pytest.fixture
def lease(opened: State) -> Lease:
    return take_lease(opened)


@pytest.fixture
def store(opened: State, lease: Lease) -> State:
    """A state with a thousand devices, `d1` … with the keys 1 …."""
    all_devices = [entity_row(opened, f"d{n}", n) for n in range(1, SIZES[-1] + 1)]
    opened.batches.commit(lease, Batch(created=all_devices))
    opened.names.attr_id("device", "peer")  # numbers of names are asked for once
    return opened


def all_equal(statements: Statements, call: Callable[[int], Any]) -> None:
    """A call takes as many statements for each of the sizes."""
    few, *more = (statements.of(partial(call, size)) for size in SIZES)
    for found in more:
        assert found.total() == few.total(), (found - few, few - found)


# -- what a batch changes --------------------------------------------------------------------------------
def devices(store: State) -> int:
    return store.names.etype_id("device")


def observed(store: State, n: int) -> list[LinkRow]:
    return [a_link(store, k, f"d{k + 1}") for k in range(1, n + 1)]


def plain_links(store: State, n: int, step: int, order: int) -> list[LinkRow]:
    """Plain relations of devices, each with one link to another device, and an emptied one."""
    rows = [
        a_link(store, k, f"d{k + step}", until=FOREVER, order=order, replaces=True) for k in range(1, n + 1)
    ]
    etype, eid = NO_TARGET
    return [*rows[:-1], rows[-1]._replace(target_etype=etype, target_eid=eid)]


BATCHES: dict[str, Callable[[State, int], Batch]] = {
    "new links": lambda store, n: Batch(links=observed(store, n)),
    "other plain links": lambda store, n: Batch(links=plain_links(store, n, 3, n)),
    "the same plain links": lambda store, n: Batch(links=plain_links(store, n, 3, 1_000)),
    "created entities": lambda store, n: Batch(
        created=[entity_row(store, f"new{n}-{k}", 100_000 * n + k) for k in range(n)]
    ),
    "deleted entities": lambda store, n: Batch(deleted=list(range(1, n + 1))),
    "tombstones": lambda store, n: Batch(
        tombstones=[Tombstone(devices(store), f"d{k}", 0, n, 1, 1, 1) for k in range(n)]
    ),
    "told tombstones": lambda store, n: Batch(
        tombstones_done=[(devices(store), f"d{k}", n, 1) for k in range(n)]
    ),
    "removed plain values": lambda store, n: Batch(plain_removed=[(k, 1) for k in range(n)]),
    "removed history": lambda store, n: Batch(
        history_removed=[(k, 1, history_key(0, k, 0)) for k in range(n)]
    ),
    "removed packed history": lambda store, n: Batch(packed_removed=[(k, 1, 1, 0) for k in range(n)]),
    "tokens": lambda store, n: Batch(
        ttl=[(k, "base", n) for k in range(1, n + 1)], expiry_checks=dict.fromkeys(range(1, n + 1), 2000 - n)
    ),
    "outbox": lambda store, n: Batch(outbox=[OutboxRow(0, 0, k, 0, b"x") for k in range(n)]),
    "dead letters": lambda store, n: Batch(dead_letters=[a_letter()] * n),
    "removed dead letters": lambda store, n: Batch(dead_letters_removed=list(range(n))),
    "refused tasks": lambda store, n: Batch(refused=[(0, k, 0) for k in range(n)]),
    "results": lambda store, n: Batch(control_done=[(k, {}) for k in range(n)]),
}


@pytest.mark.parametrize("content", BATCHES)
def test_a_commit_takes_as_many_statements_for_many_rows_as_for_few(
    store: State, lease: Lease, statements: Statements, content: str
) -> None:
    all_equal(statements, lambda n: store.batches.commit(lease, BATCHES[content](store, n)))


def test_a_slice_of_a_run_takes_as_many_for_many_entities_and_partitions(
    store: State, lease: Lease, statements: Statements
) -> None:
    run = a_run(store, 1)
    tasks = [OutboxRow(k % 4, 3, k, 0, b"x") for k in range(SIZES[-1])]

    def write(n: int) -> None:
        entities = range(1, n + 1)
        cut = [(partition, lane, 1) for partition in range(n) for lane in (0, 1)]
        due: dict[int, int | None] = dict.fromkeys(entities, n)
        written(
            store,
            lease,
            run,
            dict.fromkeys(entities, b"doc"),
            watermarks=cut,
            due=due,
            outbox=[row._replace(source=row.source + 1_000 * n) for row in tasks[:n]],
        )

    write(1)
    all_equal(statements, write)


def test_the_end_of_links_takes_as_many_for_many(store: State, lease: Lease, statements: Statements) -> None:
    store.batches.commit(lease, Batch(links=observed(store, SIZES[-1])))
    peer, change = store.names.attr_id("device", "peer"), store.links.last_change()

    def end(n: int) -> None:
        links = [EndedLink(k, peer, devices(store), f"d{k + 1}", 90 - n // 20) for k in range(1, n + 1)]
        store.batches.commit(lease, Batch(links_ended=links))

    all_equal(statements, end)
    assert len(list(store.links.targets_changed([peer], change, 0, 0))) == SIZES[-1]


# -- reading ---------------------------------------------------------------------------------------------
def test_finding_entities_takes_as_many_for_many(store: State, statements: Statements) -> None:
    all_equal(statements, lambda n: store.entities.find([(devices(store), f"d{k}") for k in range(n)]))


def test_the_sources_of_many_targets_through_many_relations_take_as_many(
    store: State, lease: Lease, statements: Statements
) -> None:
    store.batches.commit(lease, Batch(links=observed(store, SIZES[-1])))

    def ask(n: int) -> None:
        found = store.links.incoming([(devices(store), f"d{k}") for k in range(1, n + 1)], range(1, n), 50)
        assert len(found) == n

    all_equal(statements, ask)


def test_links_and_changed_targets_of_many_relations_take_as_many(
    store: State, lease: Lease, statements: Statements
) -> None:
    store.batches.commit(lease, Batch(links=observed(store, 10)))
    all_equal(statements, lambda n: store.links.edges(range(1, n + 1), 50, (0, 0, 0), 10_000))
    all_equal(statements, lambda n: store.links.targets_changed(range(1, n + 1), 0, 0, 200))


def test_the_runs_of_a_snapshot_series_take_as_many(
    store: State, lease: Lease, statements: Statements
) -> None:
    runs = range(1, SIZES[-1] + 1)
    all_equal(statements, lambda n: store.runs.covered(1, runs[:n]))


def test_a_page_of_snapshots_and_snapshots_by_id_take_as_many(
    store: State, lease: Lease, statements: Statements
) -> None:
    run = a_run(store, 1)
    keys = {k: {"eid": {f"e{k}"}} for k in range(10_001, 11_001)}
    with_snapshots(store, lease, run, "device", keys)  # type: ignore[arg-type]
    completed(store, lease, run)

    def read(n: int) -> None:
        eids = [f"e{10_000 + k}" for k in range(1, n + 1)]
        assert len(store.queries.find("device", limit=n)) == n
        assert len(store.queries.latest("device", eids)) == n
        assert len(store.snapshots.latest(range(10_001, 10_001 + n))) == n

    all_equal(statements, read)


def test_results_and_progress_of_many_messages_take_as_many(store: State, statements: Statements) -> None:
    all_equal(statements, lambda n: store.control.results(range(n)))
    all_equal(statements, lambda n: store.control.progress(range(n)))


# -- ends of lifetimes -----------------------------------------------------------------------------------
def test_a_slice_of_a_collection_takes_as_many_for_many_entities(
    store: State, lease: Lease, statements: Statements
) -> None:
    def write(n: int) -> None:
        slice_ = CollectionSlice(
            Collection(0, n, 1, 1, "ttl", -1),
            tokens_removed=[(k, "base") for k in range(n)],
            expiry_checks=dict.fromkeys(range(1, n + 1), 1),
            last=n,
            unreferenced=[(k, 1, 1, 1) for k in range(1, n + 1)],
        )
        store.lifetimes.write_collection(lease, slice_)

    all_equal(statements, write)


def test_a_slice_of_tombstones_takes_as_many_for_many(
    store: State, lease: Lease, statements: Statements
) -> None:
    def write(n: int) -> None:
        ids = range(1, n + 1)
        slice_ = SweepSlice(moved=[(k, 1, 1) for k in ids], told=[*ids], removed=[*ids])
        store.lifetimes.write_sweep(lease, slice_)

    all_equal(statements, write)


def test_the_latest_rows_of_a_run_are_one_batch(store: State, lease: Lease, statements: Statements) -> None:
    run = a_run(store, 1)
    all_equal(
        statements, lambda n: store.snapshots.write(lease, SnapshotBatch(run, missing=[*range(1, n + 1)]))
    )
