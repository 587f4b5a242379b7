"""Who may own which partitions, and that nobody else can write."""

import os
from collections.abc import Callable

import pytest

from dp3.clock import FakeClock
from dp3.store.ports.batches import Batch
from dp3.store.ports.errors import LeaseLost, LeaseRefused
from dp3.store.ports.leases import Holder, Lease, LeaseState
from dp3.store.ports.state import State
from kit.rows import HOST, TTL_S, created, plain_row, progress, take_lease

ELSEWHERE = "elsewhere.example"
NO_PROCESS = 2**31 - 1


def test_a_lease_is_shown_with_its_holder(store: State, clock: FakeClock) -> None:
    lease = take_lease(store, 1, of=2)
    assert (lease.index, lease.worker_processes) == (1, 2)
    assert store.leases.all() == [LeaseState(lease, Holder(HOST, os.getpid()), clock.now_us(), "starting")]


def test_workers_with_different_indexes_live_side_by_side(store: State) -> None:
    leases = [take_lease(store, index, of=3) for index in (2, 0, 1)]
    assert {state.lease for state in store.leases.all()} == set(leases)


def test_a_second_worker_with_the_index_is_refused_and_told_who_has_it(store: State) -> None:
    take_lease(store, 1, of=2)
    with pytest.raises(LeaseRefused, match=rf"worker 1 of 2 is run by process {os.getpid()} on {HOST}"):
        store.leases.take(1, 2, Holder(ELSEWHERE, 77), TTL_S)


def test_another_number_of_workers_is_refused_while_one_lives(store: State) -> None:
    take_lease(store, 1, of=2)
    with pytest.raises(LeaseRefused, match="stop all workers before starting worker 0 of 3"):
        store.leases.take(0, 3, Holder(ELSEWHERE, 77), TTL_S)


@pytest.mark.parametrize("index", [-1, 2])
def test_an_index_outside_the_number_of_workers_is_a_mistake(store: State, index: int) -> None:
    with pytest.raises(ValueError, match=f"worker index must be from 0 to 1, got {index}"):
        take_lease(store, index, of=2)


def test_a_released_lease_can_be_taken_at_once(store: State) -> None:
    store.leases.release(take_lease(store))
    assert store.leases.all() == []
    take_lease(store, 0, of=5)


def test_releasing_a_lease_that_is_lost_does_not_harm_the_new_holder(store: State) -> None:
    old = take_lease(store)
    store.leases.release(old)
    new = take_lease(store)
    store.leases.release(old)
    assert [state.lease for state in store.leases.all()] == [new]


def test_a_lease_without_heartbeats_can_be_taken_after_its_time(store: State, clock: FakeClock) -> None:
    old = store.leases.take(0, 1, Holder(ELSEWHERE, 77), TTL_S)
    clock.advance(TTL_S)
    with pytest.raises(LeaseRefused):
        take_lease(store)
    clock.advance(1)
    new = take_lease(store)
    assert new.epoch > old.epoch
    assert [state.lease for state in store.leases.all()] == [new]


def test_a_heartbeat_keeps_a_lease_and_tells_how_the_worker_is(store: State, clock: FakeClock) -> None:
    lease = store.leases.take(0, 1, Holder(ELSEWHERE, 77), TTL_S)
    clock.advance(TTL_S)
    store.leases.heartbeat(lease, "working")
    clock.advance(TTL_S)
    with pytest.raises(LeaseRefused):
        take_lease(store)
    [state] = store.leases.all()
    assert state.status == "working"
    assert clock.now_us() - state.heartbeat == TTL_S * 1e6


def test_a_worker_of_this_host_whose_process_is_gone_is_replaced_at_once(store: State) -> None:
    old = store.leases.take(0, 1, Holder(HOST, NO_PROCESS), TTL_S)
    assert take_lease(store).epoch > old.epoch


def test_whether_a_process_of_another_host_is_gone_cannot_be_told(store: State) -> None:
    store.leases.take(0, 1, Holder(ELSEWHERE, NO_PROCESS), TTL_S)
    with pytest.raises(LeaseRefused):
        take_lease(store)


def test_dead_workers_do_not_hinder_another_number_of_workers(store: State) -> None:
    for index in range(3):
        store.leases.take(index, 3, Holder(HOST, NO_PROCESS), TTL_S)
    lease = take_lease(store, 0, of=2)
    assert [state.lease for state in store.leases.all()] == [lease]


def test_a_refused_worker_leaves_all_leases_as_they_were(store: State) -> None:
    store.leases.take(0, 3, Holder(HOST, NO_PROCESS), TTL_S)
    take_lease(store, 1, of=3)
    before = store.leases.all()
    with pytest.raises(LeaseRefused):
        store.leases.take(0, 2, Holder(ELSEWHERE, 77), TTL_S)
    assert store.leases.all() == before


def test_epochs_increase_over_release_and_reopening(open_state: Callable[..., State]) -> None:
    epochs = []
    for _ in range(3):
        store = open_state()
        lease = take_lease(store)
        epochs.append(lease.epoch)
        store.leases.release(lease)
        store.close()
    assert epochs == sorted(set(epochs))


def lose(store: State, lease: Lease, clock: FakeClock) -> None:
    clock.advance(TTL_S + 1)
    store.leases.take(lease.index, lease.worker_processes, Holder(ELSEWHERE, 77), TTL_S)


def test_a_worker_that_lost_its_lease_cannot_commit_anything(
    store: State, lease: Lease, clock: FakeClock
) -> None:
    created(store, lease, plain=[plain_row(store, 1, "name", "x")])
    before = store.entities.profile("device", "d1")
    lose(store, lease, clock)
    late = Batch(
        progress=progress(store, lease, 9), plain=[plain_row(store, 1, "name", "y", written=2)], deleted=[1]
    )
    with pytest.raises(LeaseLost, match=f"to worker 0 of 1, process 77 on {ELSEWHERE}"):
        store.batches.commit(lease, late)
    assert store.entities.profile("device", "d1") == before
    assert {offset for _, _, offset in store.batches.positions()} == {0}


def test_a_worker_that_lost_its_lease_gets_no_heartbeat_and_removes_no_garbage(
    store: State, lease: Lease, clock: FakeClock
) -> None:
    lose(store, lease, clock)
    with pytest.raises(LeaseLost):
        store.leases.heartbeat(lease, "working")
    with pytest.raises(LeaseLost):
        store.entities.collect_garbage(lease, 10)


def test_a_released_lease_says_so(store: State, lease: Lease) -> None:
    store.leases.release(lease)
    with pytest.raises(LeaseLost, match="it was released"):
        store.batches.commit(lease, Batch())
