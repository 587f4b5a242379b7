"""The model that the state was last run with: noted by one process at a time, changed when nobody works."""

import threading
from collections.abc import Callable

import pytest

from dp3.clock import FakeClock
from dp3.store.ports.batches import Batch
from dp3.store.ports.errors import LeaseLost, LeaseRefused
from dp3.store.ports.history import ScanChanges
from dp3.store.ports.leases import Holder
from dp3.store.ports.models import Forget, Removal, RemovedAttr
from dp3.store.ports.state import State
from kit.rows import HOST, TTL_S, created, packed_row, plain_row, progress, take_lease

KEEP = Forget(doc=lambda etype, doc: doc, task=lambda task: task)


def removal(*attrs: RemovedAttr, etypes: tuple[str, ...] = ()) -> Removal:
    return Removal("new", etypes, attrs, {0: 7, 1: 3})


def finish(store: State) -> None:
    while store.models.continue_removal(KEEP):
        pass


def test_a_new_state_has_no_model(store: State) -> None:
    assert store.models.tracked() == (None, False)
    assert store.models.removal() is None
    assert store.models.continue_removal(KEEP) is None


def test_of_many_that_note_a_model_instead_of_the_same_one_succeeds(
    open_state: Callable[..., State],
) -> None:
    stores = [open_state() for _ in range(6)]
    gate = threading.Barrier(len(stores))
    noted = []

    def note(number: int) -> None:
        gate.wait()
        if stores[number].models.track(f"model {number}", None):
            noted.append(f"model {number}")

    threads = [threading.Thread(target=note, args=(number,)) for number in range(len(stores))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert noted == [stores[0].models.tracked()[0]]


def test_nobody_notes_a_model_while_data_is_removed(store: State) -> None:
    store.models.track("old", None)
    assert store.models.begin_removal(removal(), "old", HOST, TTL_S)
    assert store.models.tracked() == ("old", True)
    assert not store.models.track("other", "old")
    assert not store.models.begin_removal(removal(), "old", HOST, TTL_S)
    finish(store)
    assert store.models.tracked() == ("new", False)


def test_a_removal_confirmed_for_another_model_does_not_begin(store: State) -> None:
    store.models.track("newer", None)
    assert not store.models.begin_removal(removal(), "old", HOST, TTL_S)
    assert store.models.removal() is None


def test_workers_that_live_are_in_the_way_and_those_that_do_not_lose_their_lease(
    open_state: Callable[..., State], clock: FakeClock
) -> None:
    store = open_state()
    store.models.track("old", None)
    lease = store.leases.take(0, 1, Holder("elsewhere", 1), TTL_S)
    for refused in (
        store.models.require_no_worker,
        lambda *a: store.models.begin_removal(removal(), "old", *a),
    ):
        with pytest.raises(LeaseRefused, match=r"process 1 on elsewhere .* stop all workers first"):
            refused(HOST, TTL_S)
    clock.advance(TTL_S + 1)
    assert store.models.begin_removal(removal(), "old", HOST, TTL_S)
    with pytest.raises(LeaseLost):
        store.batches.commit(lease, Batch())


def test_what_the_log_has_from_before_is_known_until_all_partitions_have_read_it(
    open_state: Callable[..., State],
) -> None:
    store = open_state(partitions=2)
    store.models.track("old", None)
    attrs = (RemovedAttr("a", "x"), RemovedAttr("a", "y", (b"v",)), RemovedAttr("a", "z", (), True))
    store.models.begin_removal(removal(*attrs, etypes=("b",)), "old", HOST, TTL_S)
    finish(store)
    places = [("a", "x", b""), ("a", "y", b"v"), ("b", "", b"")]
    assert sorted(store.models.outdated()) == sorted(
        (*place, lane, offset) for place in places for lane, offset in ((0, 7), (1, 3))
    )
    one, other = take_lease(store, 0, of=2), take_lease(store, 1, of=2)
    for lease, until in ((one, 9), (other, 6)):
        store.batches.commit(lease, Batch(progress=progress(store, lease, until)))
        store.batches.commit(lease, Batch(progress=progress(store, lease, 3, lane=1)))
    store.models.track("newer", "new")
    assert {(row.lane, row.offset) for row in store.models.outdated()} == {(0, 7)}


def test_names_that_went_get_other_numbers_when_they_come_again(store: State) -> None:
    created(
        store,
        lease := take_lease(store),
        plain=[plain_row(store, 1, "x", "v"), plain_row(store, 1, "y", "v")],
    )
    before = (
        store.names.attr_id("device", "x"),
        store.names.attr_id("device", "y"),
        store.names.etype_id("device"),
    )
    store.leases.release(lease)
    store.models.track("old", None)
    store.models.begin_removal(removal(RemovedAttr("device", "x")), "old", HOST, TTL_S)
    finish(store)
    assert store.names.attr_id("device", "x") > before[1]
    assert (store.names.attr_id("device", "y"), store.names.etype_id("device")) == before[1:]


@pytest.mark.parametrize("limit", [1, 2, 3, 10])
def test_rows_of_attributes_are_counted_page_by_page(store: State, limit: int) -> None:
    lease = take_lease(store)
    for number in range(1, 6):
        values = [plain_row(store, number, "x", number % 2)] if number < 5 else []
        created(store, lease, f"d{number}", number, plain=[*values, plain_row(store, number, "y", 0)])
    start: str | None = ""
    rows = []
    while start is not None:
        counts, start = store.models.attr_rows("device", ["x"], [], start, limit)
        rows += [(attr, of_attr) for attr, of_attr, _ in counts]
    assert {attr for attr, _ in rows} == {"x"}
    assert sum(count for _, count in rows) == 4
    assert store.models.attr_rows("device", ["x"], [plain_row(store, 1, "x", 1).v], "", 10)[0] == [
        ("x", 2, 2)
    ]
    rows_of_two = [packed_row(store, 5, "x", 1, 4), packed_row(store, 1, "x", 2, 3)]
    store.history.pack(lease, (0, 0, 0), (0, 0, 0), {}, rows_of_two, ScanChanges())
    assert store.models.attr_rows("device", ["x"], [], "", 10)[0] == [("x", 11, 5)]
    assert store.models.attr_rows("device", ["x"], [plain_row(store, 1, "x", 1).v], "", 10)[0] == [
        ("x", 6, 3)
    ]
    assert store.models.attr_rows("nothing", ["x"], [], "", 10) == ([], None)
