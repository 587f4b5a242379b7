"""Rows of deleted entities are removed later, in slices."""

import pytest

from dp3.store.ports.batches import Batch
from dp3.store.ports.leases import Lease
from dp3.store.ports.state import State
from kit.backends import Backend
from kit.rows import created, entity_key, entity_row, history_row, plain_row, take_lease

TABLES = ("fresh", "incoming", "plain", "ttl", "garbage")


def stored_rows(backend: Backend) -> dict[str, int]:
    return {table: backend.sql(f"SELECT count(*) FROM {table}")[0][0] for table in TABLES}


def fill(store: State, lease: Lease, eid: str, key: int, rows: int) -> None:
    offset = (key & 0xFF) * 1000
    created(
        store,
        lease,
        eid,
        key,
        history=[history_row(store, key, "load", n, offset=offset + n) for n in range(rows)],
        plain=[plain_row(store, key, f"a{n}", n) for n in range(rows)],
        ttl=[(key, f"t{n}", n) for n in range(rows)],
    )


def test_nothing_is_left_of_a_deleted_entity_and_all_of_the_others(
    store: State, lease: Lease, backend: Backend
) -> None:
    fill(store, lease, "d1", 1, rows=10)
    fill(store, lease, "d2", 2, rows=4)
    kept = store.entities.profile("device", "d2")
    store.batches.commit(lease, Batch(deleted=[1]))
    assert stored_rows(backend) == {"fresh": 14, "incoming": 14, "plain": 14, "ttl": 14, "garbage": 1}
    assert store.entities.collect_garbage(lease, 1000) is False
    assert stored_rows(backend) == {"fresh": 4, "incoming": 4, "plain": 4, "ttl": 4, "garbage": 0}
    assert store.entities.profile("device", "d2") == kept


@pytest.mark.parametrize("max_rows", [1, 7, 10, 31])
def test_a_slice_removes_at_most_the_given_number_of_rows(
    store: State, lease: Lease, backend: Backend, max_rows: int
) -> None:
    fill(store, lease, "d1", 1, rows=10)
    fill(store, lease, "d2", 2, rows=10)
    store.batches.commit(lease, Batch(deleted=[1, 2]))
    left = [sum(stored_rows(backend).values())]
    while store.entities.collect_garbage(lease, max_rows):
        left.append(sum(stored_rows(backend).values()))
        assert 0 < left[-2] - left[-1] <= max_rows
    assert sum(stored_rows(backend).values()) == 0


def test_a_worker_removes_garbage_of_its_own_partitions_only(store: State, backend: Backend) -> None:
    mine, other = take_lease(store, 0, of=2), take_lease(store, 1, of=2)
    fill(store, other, "d1", entity_key(1, partition=3), rows=5)
    store.batches.commit(other, Batch(deleted=[entity_key(1, partition=3)]))
    assert store.entities.collect_garbage(mine, 1000) is False
    assert stored_rows(backend)["garbage"] == 1
    assert store.entities.collect_garbage(other, 1000) is False
    assert sum(stored_rows(backend).values()) == 0


def test_rows_of_an_entity_made_again_under_its_id_stay(store: State, lease: Lease) -> None:
    fill(store, lease, "d1", 1, rows=3)
    again = Batch(deleted=[1], created=[entity_row(store, "d1", 2)], plain=[plain_row(store, 2, "name", "x")])
    store.batches.commit(lease, again)
    before = store.entities.profile("device", "d1")
    store.entities.collect_garbage(lease, 1000)
    assert store.entities.profile("device", "d1") == before
