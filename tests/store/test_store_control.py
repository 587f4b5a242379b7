"""Messages to workers and their results."""

from collections.abc import Callable
from typing import Any

import pytest

from dp3.clock import FakeClock
from dp3.store.ports.batches import Batch, Stream
from dp3.store.ports.control import ControlMessage, ControlProgress
from dp3.store.ports.errors import ControlFull
from dp3.store.ports.leases import Holder, Lease
from dp3.store.ports.state import State
from dp3.store.ports.updates import UpdateBatch, UpdateGroup
from kit.limits import Enter, pending_messages
from kit.program import wait_for
from kit.rows import take_lease

A_DAY_S = 24 * 3600


def test_a_message_is_pending_for_its_worker_until_it_is_done(store: State, lease: Lease) -> None:
    id_ = store.control.send(0, "refresh", {"etype": "device"})
    assert store.control.pending(0) == [ControlMessage(id_, "refresh", {"etype": "device"})]
    assert store.control.pending(1) == []
    store.batches.commit(lease, Batch(control_done=[(id_, {"detail": "OK"})]))
    assert store.control.pending(0) == []


def test_messages_are_pending_in_the_order_of_sending(store: State) -> None:
    ids = [store.control.send(0, "refresh", {"n": n}) for n in range(3)]
    assert [message.id for message in store.control.pending(0)] == ids


def test_results_are_given_for_messages_that_are_done(store: State, lease: Lease) -> None:
    done, open_ = store.control.send(0, "a", {}), store.control.send(0, "b", {})
    store.batches.commit(lease, Batch(control_done=[(done, {"results": {"1": "gone"}})]))
    assert store.control.results(iter([done, open_, 999])) == {done: {"results": {"1": "gone"}}}


def test_the_first_result_stays(store: State, lease: Lease) -> None:
    id_ = store.control.send(0, "a", {})
    store.batches.commit(lease, Batch(control_done=[(id_, {"n": 1})]))
    store.batches.commit(lease, Batch(control_done=[(id_, {"n": 2})]))
    assert store.control.results([id_]) == {id_: {"n": 1}}


def test_results_are_forgotten_after_a_day_and_open_messages_are_not(
    store: State, lease: Lease, clock: FakeClock
) -> None:
    done, open_ = store.control.send(0, "a", {}), store.control.send(0, "b", {})
    store.batches.commit(lease, Batch(control_done=[(done, {})]))
    clock.advance(A_DAY_S + 1)
    last = store.control.send(0, "c", {})
    assert store.control.results([done]) == {}
    assert [message.id for message in store.control.pending(0)] == [open_, last]


def test_how_far_a_message_is_can_be_told_until_it_is_forgotten(
    store: Any, lease: Lease, clock: FakeClock
) -> None:
    id_ = store.control.send(0, "a", {})
    for done in (1, 2):
        progress = ControlProgress(id_, {"done": done}, {"after": done * 10})
        store.updates.write(lease, UpdateBatch(UpdateGroup("a", 1, 1), Stream.CREATION, control=progress))
    assert store.control.progress([id_, 999]) == [progress]
    store.batches.commit(lease, Batch(control_done=[(id_, {})]))
    assert store.control.progress([id_]) == [progress]
    clock.advance(A_DAY_S + 1)
    store.control.send(0, "c", {})
    assert store.control.progress([id_]) == []


def test_another_process_sees_messages_and_results(store: State, open_state: Callable[..., State]) -> None:
    api = open_state()
    before = store.changes.version()
    id_ = api.control.send(0, "a", {})
    wait_for("the change to be noticed", lambda: store.changes.version() != before or None)
    store.batches.commit(take_lease(store), Batch(control_done=[(id_, {})]))
    assert api.control.results([id_]) == {id_: {}}


def test_ids_grow_with_time_so_that_an_older_copy_of_the_state_uses_none_again(
    store: State, clock: FakeClock
) -> None:
    ids = [store.control.send(0, "a", {}) for _ in range(3)]
    assert ids == sorted(set(ids))
    clock.advance(1)
    assert store.control.send(0, "a", {}) == clock.now_us() > ids[-1]
    clock.advance(-60)
    assert store.control.send(0, "a", {}) == clock.now_us() + 60_000_001


def test_messages_wait_for_a_restart_of_the_same_workers(store: State, lease: Lease) -> None:
    id_ = store.control.send(0, "a", {})
    store.leases.release(lease)
    take_lease(store)
    assert [message.id for message in store.control.pending(0)] == [id_]


def test_messages_are_given_up_when_the_number_of_workers_changes(store: State, lease: Lease) -> None:
    done = store.control.send(0, "a", {})
    store.batches.commit(lease, Batch(control_done=[(done, {"n": 1})]))
    waiting = store.control.send(0, "a", {})
    store.leases.release(lease)
    store.leases.take(1, 2, Holder("host", 1), 15)
    assert store.control.pending(0) == []
    results = store.control.results([done, waiting])
    assert results[done] == {"n": 1}
    changed = f"changed from {lease.worker_processes} to 2"
    assert changed in results[waiting]["error"]


def test_no_more_than_a_limit_of_messages_wait(store: State, lease: Lease, enter: Enter) -> None:
    enter(pending_messages(2))
    first, _ = store.control.send(0, "a", {}), store.control.send(1, "a", {})
    with pytest.raises(ControlFull, match="2 messages wait"):
        store.control.send(0, "a", {})
    store.batches.commit(lease, Batch(control_done=[(first, {})]))
    assert store.control.send(0, "a", {}) > 0
