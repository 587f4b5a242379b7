"""Positions, outbox, refused tasks, counters."""

from collections.abc import Callable

from dp3.store.ports.batches import Batch, Refused
from dp3.store.ports.leases import Lease
from dp3.store.ports.state import State
from kit.rows import outbox_row, take_lease


def test_a_new_state_starts_at_the_beginning_of_every_partition_and_lane(
    open_state: Callable[..., State],
) -> None:
    store = open_state(partitions=3)
    assert store.batches.positions() == [(partition, lane, 0) for partition in range(3) for lane in (0, 1)]


def test_a_worker_advances_its_own_partitions_only(open_state: Callable[..., State]) -> None:
    store = open_state(partitions=5)
    store.batches.commit(take_lease(store, 1, of=2), Batch(positions={0: 7, 1: 9}))
    reached = {(partition, lane): offset for partition, lane, offset in store.batches.positions() if offset}
    assert reached == {(1, 0): 7, (1, 1): 9, (3, 0): 7, (3, 1): 9}


def test_a_position_never_goes_back(open_state: Callable[..., State]) -> None:
    store = open_state(partitions=1)
    lease = take_lease(store)
    store.batches.commit(lease, Batch(positions={0: 7}))
    store.batches.commit(lease, Batch(positions={0: 5}))
    assert store.batches.positions() == [(0, 0, 7), (0, 1, 0)]


def test_outbox_rows_come_back_in_order_with_what_was_put_in(store: State, lease: Lease) -> None:
    rows = [outbox_row(2, partition=4), outbox_row(1, partition=3), outbox_row(3, partition=4)]
    store.batches.commit(lease, Batch(outbox=rows))
    pending = store.outbox.pending(lease, 0, 1000)
    assert [item.row for item in pending] == rows
    assert [item.rowid for item in pending] == sorted(item.rowid for item in pending)


def test_outbox_rows_of_other_workers_are_neither_shown_nor_drained(store: State) -> None:
    mine, other = take_lease(store, 0, of=2), take_lease(store, 1, of=2)
    store.batches.commit(mine, Batch(outbox=[outbox_row(1, partition=0)]))
    store.batches.commit(other, Batch(outbox=[outbox_row(1, partition=1), outbox_row(2, partition=3)]))
    last = store.outbox.pending(other, 0, 1000)[-1].rowid
    store.batches.commit(mine, Batch(outbox_drained=last))
    assert store.outbox.pending(mine, 0, 1000) == []
    assert [item.row.partition for item in store.outbox.pending(other, 0, 1000)] == [1, 3]


def test_draining_removes_rows_up_to_the_given_one(store: State, lease: Lease) -> None:
    store.batches.commit(lease, Batch(outbox=[outbox_row(source) for source in range(4)]))
    second = store.outbox.pending(lease, 0, 1000)[1].rowid
    store.batches.commit(lease, Batch(outbox_drained=second))
    assert [item.row.source for item in store.outbox.pending(lease, 0, 1000)] == [2, 3]


def test_the_outbox_is_read_in_portions(store: State, lease: Lease) -> None:
    store.batches.commit(lease, Batch(outbox=[outbox_row(source, size=100) for source in range(5)]))
    portions = []
    after = 0
    while pending := store.outbox.pending(lease, after, 250):
        portions.append([item.row.source for item in pending])
        after = pending[-1].rowid
    assert portions == [[0, 1], [2, 3], [4]]


def test_an_outbox_row_above_the_byte_limit_is_read_alone(store: State, lease: Lease) -> None:
    store.batches.commit(lease, Batch(outbox=[outbox_row(1, size=100), outbox_row(2, size=1)]))
    assert [item.row.source for item in store.outbox.pending(lease, 0, 10)] == [1]


def test_the_number_of_an_outbox_row_is_never_used_again(store: State, lease: Lease) -> None:
    store.batches.commit(lease, Batch(outbox=[outbox_row(1)]))
    first = store.outbox.pending(lease, 0, 10)[0].rowid
    store.batches.commit(lease, Batch(outbox_drained=first, outbox=[outbox_row(2)]))
    assert [item.row.source for item in store.outbox.pending(lease, first, 10)] == [2]


def test_refused_tasks_are_remembered_once_and_found_by_range(store: State, lease: Lease) -> None:
    refused = [Refused(0, 4, 0), Refused(0, 5, 2), Refused(0, 5, 7), Refused(0, 6, 1), Refused(1, 5, 3)]
    store.batches.commit(lease, Batch(refused=refused))
    store.batches.commit(lease, Batch(refused=refused))
    assert store.batches.refused_between(0, 5, 6) == {(5, 2), (5, 7), (6, 1)}
    assert store.batches.refused_between(1, 0, 100) == {(5, 3)}


def test_counters_of_all_workers_are_summed(store: State) -> None:
    for index in (0, 1):
        store.batches.commit(
            take_lease(store, index, of=2), Batch(counters={"points": 10 + index, f"w{index}": 1})
        )
    assert store.counters.all() == {"points": 21, "w0": 1, "w1": 1}
