"""Positions, outbox, refused tasks, counters."""

from collections.abc import Callable

import pytest

from dp3.store.ports.batches import Batch, Progress
from dp3.store.ports.errors import PositionsMoved
from dp3.store.ports.leases import Lease
from dp3.store.ports.state import State
from kit.rows import a_batch, created, entity_row, history_row, outbox_row, plain_row, progress, take_lease


def test_a_new_state_starts_at_the_beginning_of_every_partition_and_lane(
    open_state: Callable[..., State],
) -> None:
    store = open_state(partitions=3)
    assert store.batches.positions() == [(partition, lane, 0) for partition in range(3) for lane in (0, 1)]


def test_a_worker_advances_its_own_partitions_only(open_state: Callable[..., State]) -> None:
    store = open_state(partitions=5)
    lease = take_lease(store, 1, of=2)
    store.batches.commit(lease, Batch(progress=progress(store, lease, 7)))
    store.batches.commit(lease, Batch(progress=progress(store, lease, 9, lane=1)))
    reached = {(partition, lane): offset for partition, lane, offset in store.batches.positions() if offset}
    assert reached == {(1, 0): 7, (1, 1): 9, (3, 0): 7, (3, 1): 9}


def test_a_position_never_goes_back(open_state: Callable[..., State]) -> None:
    store = open_state(partitions=2)
    first = take_lease(store, 0, of=2)
    store.batches.commit(first, Batch(progress=progress(store, first, 7)))
    store.leases.release(first)
    lease = take_lease(store)
    store.batches.commit(lease, Batch(progress=progress(store, lease, 5)))
    assert store.batches.positions() == [(0, 0, 7), (0, 1, 0), (1, 0, 5), (1, 1, 0)]


def everything(store: State, lease: Lease, start: Progress) -> Batch:
    """A batch that changes something of everything."""
    return a_batch(
        progress=start,
        created=[entity_row(store, "d2", 2)],
        deleted=[1],
        plain=[plain_row(store, 2, "name", "x")],
        history=[history_row(store, 2, "load", 1, offset=4)],
        ttl=[(2, "base", 9)],
        outbox=[outbox_row(1)],
        refused=[(0, 4, 0)],
        counters={"points": 1},
    )


def seen(store: State, lease: Lease) -> list[object]:
    profiles = [store.entities.profile("device", eid) for eid in ("d1", "d2")]
    batches, pending = store.batches, store.outbox.pending(lease, 0, 1000)
    reached = batches.positions(), batches.order(), batches.refused_between(0, 0, 9)
    return [profiles, *reached, pending, store.counters.all()]


@pytest.mark.parametrize("until", [None, 4])
def test_a_batch_that_starts_from_another_position_is_refused_and_changes_nothing(
    store: State, lease: Lease, until: int | None
) -> None:
    created(store, lease)
    late = everything(store, lease, progress(store, lease, 4)._replace(until=until))
    store.batches.commit(lease, Batch(progress=progress(store, lease, 3)))
    before = seen(store, lease)
    with pytest.raises(PositionsMoved, match="up to entry 3, the batch starts from 0"):
        store.batches.commit(lease, late)
    assert seen(store, lease) == before


def test_a_batch_that_is_committed_again_is_refused_and_changes_nothing(store: State, lease: Lease) -> None:
    created(store, lease)
    batch = everything(store, lease, progress(store, lease, 4))
    store.batches.commit(lease, batch)
    before = seen(store, lease)
    with pytest.raises(PositionsMoved):
        store.batches.commit(lease, batch)
    assert seen(store, lease) == before


def test_a_batch_starts_from_the_positions_of_all_partitions_of_its_worker_in_its_lane(
    open_state: Callable[..., State],
) -> None:
    store = open_state(partitions=4)
    mine, other = take_lease(store, 0, of=2), take_lease(store, 1, of=2)
    start = progress(store, mine, 4)
    store.batches.commit(other, Batch(progress=progress(store, other, 9)))
    store.batches.commit(mine, Batch(progress=progress(store, mine, 9, lane=1)))
    for wrong in ({0: 0}, {0: 0, 2: 1}, {0: 0, 1: 9, 2: 0, 3: 9}):
        with pytest.raises(PositionsMoved):
            store.batches.commit(mine, Batch(progress=start._replace(since=wrong)))
    store.batches.commit(mine, Batch(progress=start))
    assert [offset for _, lane, offset in store.batches.positions() if lane == 0] == [4, 9, 4, 9]


def test_a_part_of_what_entries_lead_to_leaves_the_positions_where_they_are(
    store: State, lease: Lease
) -> None:
    created(store, lease, plain=[plain_row(store, 1, "name", "x")])
    start, name = progress(store, lease, 4), store.names.attr_id("device", "name")
    part = Batch(progress=start._replace(until=None), plain_removed=[(1, name)])
    store.batches.commit(lease, part)
    store.batches.commit(lease, Batch(progress=start))
    assert {offset for _, lane, offset in store.batches.positions() if lane == 0} == {4}
    assert store.entities.profile("device", "d1") == (1, [], [], {}, [])


def test_outbox_rows_come_back_in_order_with_what_was_put_in(store: State, lease: Lease) -> None:
    rows = [outbox_row(2, partition=4), outbox_row(1, partition=3), outbox_row(3, partition=4)]
    store.batches.commit(lease, Batch(outbox=rows))
    pending = store.outbox.pending(lease, 0, 1000)
    assert [item[1] for item in pending] == rows
    assert [item[0] for item in pending] == sorted(item[0] for item in pending)


def test_outbox_rows_of_other_workers_are_neither_shown_nor_drained(store: State) -> None:
    mine, other = take_lease(store, 0, of=2), take_lease(store, 1, of=2)
    store.batches.commit(mine, Batch(outbox=[outbox_row(1, partition=0)]))
    store.batches.commit(other, Batch(outbox=[outbox_row(1, partition=1), outbox_row(2, partition=3)]))
    last = store.outbox.pending(other, 0, 1000)[-1][0]
    store.batches.commit(mine, Batch(outbox_drained=last))
    assert store.outbox.pending(mine, 0, 1000) == []
    assert [item[1].partition for item in store.outbox.pending(other, 0, 1000)] == [1, 3]


def test_draining_removes_rows_up_to_the_given_one(store: State, lease: Lease) -> None:
    store.batches.commit(lease, Batch(outbox=[outbox_row(source) for source in range(4)]))
    second = store.outbox.pending(lease, 0, 1000)[1][0]
    store.batches.commit(lease, Batch(outbox_drained=second))
    assert [item[1].source for item in store.outbox.pending(lease, 0, 1000)] == [2, 3]


def test_the_outbox_is_read_in_portions(store: State, lease: Lease) -> None:
    store.batches.commit(lease, Batch(outbox=[outbox_row(source, size=100) for source in range(5)]))
    portions = []
    after = 0
    while pending := store.outbox.pending(lease, after, 250):
        portions.append([item[1].source for item in pending])
        after = pending[-1][0]
    assert portions == [[0, 1], [2, 3], [4]]


def test_an_outbox_row_above_the_byte_limit_is_read_alone(store: State, lease: Lease) -> None:
    store.batches.commit(lease, Batch(outbox=[outbox_row(1, size=100), outbox_row(2, size=1)]))
    assert [item[1].source for item in store.outbox.pending(lease, 0, 10)] == [1]


def test_the_number_of_an_outbox_row_is_never_used_again(store: State, lease: Lease) -> None:
    store.batches.commit(lease, Batch(outbox=[outbox_row(1)]))
    first = store.outbox.pending(lease, 0, 10)[0][0]
    store.batches.commit(lease, Batch(outbox_drained=first, outbox=[outbox_row(2)]))
    assert [item[1].source for item in store.outbox.pending(lease, first, 10)] == [2]


def test_refused_tasks_are_remembered_once_and_found_by_range(store: State, lease: Lease) -> None:
    refused = [(0, 4, 0), (0, 5, 2), (0, 5, 7), (0, 6, 1), (1, 5, 3)]
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
