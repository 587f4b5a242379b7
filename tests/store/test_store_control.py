"""Messages to workers and their results."""

from collections.abc import Callable
from typing import Any

import pytest

from dp3.clock import FakeClock
from dp3.store.port import Batch, ControlFull, ControlMessage, ControlProgress, Lease, Store
from dp3.store.updates import UpdateBatch, UpdateGroup
from kit.limits import Enter, pending_messages
from kit.rows import take_lease

A_DAY_S = 24 * 3600


def test_a_message_is_pending_for_its_worker_until_it_is_done(store: Store, lease: Lease) -> None:
    id_ = store.send_control(0, "refresh", {"etype": "device"})
    assert store.pending_control(0) == [ControlMessage(id_, "refresh", {"etype": "device"}, None)]
    assert store.pending_control(1) == []
    store.commit(lease, Batch(control_done=[(id_, {"detail": "OK"})]))
    assert store.pending_control(0) == []


def test_messages_are_pending_in_the_order_of_sending(store: Store) -> None:
    ids = [store.send_control(0, "refresh", {"n": n}) for n in range(3)]
    assert [message.id for message in store.pending_control(0)] == ids


def test_results_are_given_for_messages_that_are_done(store: Store, lease: Lease) -> None:
    done, open_ = store.send_control(0, "a", {}), store.send_control(0, "b", {})
    store.commit(lease, Batch(control_done=[(done, {"results": {"1": "gone"}})]))
    assert store.control_result(iter([done, open_, 999])) == {done: {"results": {"1": "gone"}}}


def test_the_first_result_stays(store: Store, lease: Lease) -> None:
    id_ = store.send_control(0, "a", {})
    store.commit(lease, Batch(control_done=[(id_, {"n": 1})]))
    store.commit(lease, Batch(control_done=[(id_, {"n": 2})]))
    assert store.control_result([id_]) == {id_: {"n": 1}}


def test_results_are_forgotten_after_a_day_and_open_messages_are_not(
    store: Store, lease: Lease, clock: FakeClock
) -> None:
    done, open_ = store.send_control(0, "a", {}), store.send_control(0, "b", {})
    store.commit(lease, Batch(control_done=[(done, {})]))
    clock.advance(A_DAY_S + 1)
    last = store.send_control(0, "c", {})
    assert store.control_result([done]) == {}
    assert [message.id for message in store.pending_control(0)] == [open_, last]


def test_how_far_a_message_is_can_be_told_until_it_is_forgotten(
    store: Any, lease: Lease, clock: FakeClock
) -> None:
    id_ = store.send_control(0, "a", {})
    for done in (1, 2):
        progress = ControlProgress(id_, {"done": done}, {"after": done * 10})
        store.write_updates(lease, UpdateBatch(UpdateGroup("a", 1, 1), 9, control=progress))
    assert store.control_progress([id_, 999]) == [progress]
    store.commit(lease, Batch(control_done=[(id_, {})]))
    assert store.control_progress([id_]) == [progress]
    clock.advance(A_DAY_S + 1)
    store.send_control(0, "c", {})
    assert store.control_progress([id_]) == []


def test_another_process_sees_messages_and_results(store: Store, open_state: Callable[..., Store]) -> None:
    api = open_state()
    before = store.version()
    id_ = api.send_control(0, "a", {})
    assert store.version() != before
    store.commit(take_lease(store), Batch(control_done=[(id_, {})]))
    assert api.control_result([id_]) == {id_: {}}


def test_ids_grow_with_time_so_that_an_older_copy_of_the_state_uses_none_again(
    store: Store, clock: FakeClock
) -> None:
    ids = [store.send_control(0, "a", {}) for _ in range(3)]
    assert ids == sorted(set(ids))
    clock.advance(1)
    assert store.send_control(0, "a", {}) == clock.now_us() > ids[-1]
    clock.advance(-60)
    assert store.send_control(0, "a", {}) == clock.now_us() + 60_000_001


def test_messages_wait_for_a_restart_of_the_same_workers(store: Store, lease: Lease) -> None:
    id_ = store.send_control(0, "a", {})
    store.release_lease(lease)
    take_lease(store)
    assert [message.id for message in store.pending_control(0)] == [id_]


def test_messages_are_given_up_when_the_number_of_workers_changes(store: Store, lease: Lease) -> None:
    done = store.send_control(0, "a", {})
    store.commit(lease, Batch(control_done=[(done, {"n": 1})]))
    waiting = store.send_control(0, "a", {})
    store.release_lease(lease)
    store.take_lease(1, 2, "host", 1, 15)
    assert store.pending_control(0) == []
    results = store.control_result([done, waiting])
    assert results[done] == {"n": 1}
    changed = f"changed from {lease.worker_processes} to 2"
    assert changed in results[waiting]["error"]


def test_no_more_than_a_limit_of_messages_wait(store: Store, lease: Lease, enter: Enter) -> None:
    enter(pending_messages(2))
    first, _ = store.send_control(0, "a", {}), store.send_control(1, "a", {})
    with pytest.raises(ControlFull, match="2 messages wait"):
        store.send_control(0, "a", {})
    store.commit(lease, Batch(control_done=[(first, {})]))
    assert store.send_control(0, "a", {}) > 0
