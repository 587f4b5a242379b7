"""Rows of snapshots, what is to be done in a run, and what is left of deleted entities."""

from typing import Any

import pytest

from dp3.store.ports.batches import Batch
from dp3.store.ports.entities import Profile
from dp3.store.ports.errors import LeaseLost
from dp3.store.ports.leases import Lease
from dp3.store.ports.queries import EVERYTHING, Order
from dp3.store.ports.snapshots import SnapshotBatch, StoredSnapshot
from kit.backends import Backend
from kit.limits import Enter, few_due, removed_at_once, short_removals
from kit.rows import a_batch, created, entity_key, entity_row, history_row, outbox_row, plain_row, take_lease
from kit.run_rows import a_link, a_run, close, indexed, with_snapshots, written

TABLES = ("snapshot", "latest", "missing", "current", "link", "garbage")


def stored_rows(backend: Backend) -> dict[str, int]:
    counts = {table: backend.sql(f"SELECT count(*) FROM {table}")[0][0] for table in TABLES}
    return counts | {"path": backend.sql("SELECT sum(keys) + sum(entities) FROM path")[0][0]}


def test_rows_of_an_entity_come_oldest_first_and_the_newest_is_the_latest(store: Any, lease: Lease) -> None:
    created(store, lease, "d1", 1)
    first = a_run(store, 1000)
    written(store, lease, first, {1: b"one"})
    close(store, first)
    second = a_run(store, 2000)
    written(store, lease, second, {1: b"two"})
    rows = [StoredSnapshot(1, first, b"one"), StoredSnapshot(1, second, b"two")]
    assert store.snapshots.of("device", "d1") == rows
    assert store.snapshots.latest([1, 2]) == {1: b"two"}


def test_the_same_slice_again_changes_nothing(store: Any, lease: Lease) -> None:
    created(store, lease, "d1", 1)
    run = a_run(store, 1000)
    keys = indexed(store, "device", 1, {"eid": {"d1"}, "load": {1, 2}})
    batch = SnapshotBatch(
        run,
        rows=[StoredSnapshot(1, run, b"one")],
        keys_added=keys,
        due={1: 5},
        missing=[1],
        outbox=[outbox_row(1), outbox_row(2), outbox_row(7, partition=2)],
    )
    store.snapshots.write(lease, batch)
    before = store.outbox.pending(lease, 0, 10**6), store.snapshots.of("device", "d1")
    store.snapshots.write(lease, batch)
    assert (store.outbox.pending(lease, 0, 10**6), store.snapshots.of("device", "d1")) == before
    assert [pending[1].source for pending in before[0]] == [1, 2, 7]
    assert store.queries.count("device") == 1
    assert store.queries.distinct("device", "load") == {1: 1, 2: 1}


def test_keys_of_new_entities_and_of_others_are_counted_together(
    store: Any, lease: Lease, backend: Backend
) -> None:
    created(store, lease, "d1", 1)
    first = a_run(store, 1000)
    written(store, lease, first, {1: b"one"}, keys_added=indexed(store, "device", 1, {"load": {1}}))
    close(store, first)
    created(store, lease, "d2", 2)
    more = [*indexed(store, "device", 1, {"load": {2}}), *indexed(store, "device", 2, {"load": {3, 4}})]
    written(store, lease, a_run(store, 2000), {1: b"other", 2: b"two"}, keys_added=more)
    path = store.names.attr_id("device", "load")
    assert [tuple(row) for row in backend.sql(f"SELECT keys, entities FROM path WHERE id = {path}")] == [
        (4, 2)
    ]


def test_outbox_rows_that_were_drained_do_not_come_back(store: Any, lease: Lease) -> None:
    run = a_run(store, 1000)
    store.snapshots.write(lease, SnapshotBatch(run, outbox=[outbox_row(1)]))
    (pending,) = store.outbox.pending(lease, 0, 10**6)
    store.batches.commit(lease, Batch(outbox_drained=pending[0]))
    store.snapshots.write(lease, SnapshotBatch(run, outbox=[outbox_row(1), outbox_row(2)]))
    assert [row[1].source for row in store.outbox.pending(lease, 0, 10**6)] == [2]


def test_a_worker_that_lost_its_lease_writes_nothing(store: Any, lease: Lease) -> None:
    created(store, lease, "d1", 1)
    run = a_run(store, 1000)
    store.leases.release(lease)
    with pytest.raises(LeaseLost):
        written(store, lease, run, {1: b"one"})
    assert store.snapshots.of("device", "d1") == []


def test_what_belongs_to_deleted_entities_is_left_out(store: Any, lease: Lease, backend: Backend) -> None:
    created(store, lease, "d1", 1)
    store.batches.commit(lease, Batch(deleted=[1]))
    store.entities.collect_garbage(lease, 1000)
    before = stored_rows(backend)
    keys = indexed(store, "device", 1, {"eid": {"d1"}})
    written(store, lease, a_run(store, 1000), {1: b"one"}, keys_added=keys, due={1: 5}, missing=[1])
    assert stored_rows(backend) == before


def test_keys_of_an_entity_can_be_renewed(store: Any, lease: Lease) -> None:
    run = a_run(store, 1000)
    with_snapshots(store, lease, run, "a", {1: {"eid": {1}, "x": {1, 2}}, 2: {"eid": {2}, "x": {1}}})
    keys = indexed(store, "a", 1, {"eid": {1}, "x": {2, 3}})
    store.snapshots.write(lease, SnapshotBatch(run, keys_added=keys, keys_renewed=[1]))
    assert store.queries.distinct("a", "x") == {1: 1, 2: 1, 3: 1}
    assert store.queries.count("a") == 2


def test_counters_of_slices_are_added(store: Any, lease: Lease) -> None:
    for _ in range(2):
        store.snapshots.write(lease, SnapshotBatch(1, counters={"snapshots": 3}))
    assert store.counters.all()["snapshots"] == 6


@pytest.mark.parametrize("few", [0, 10_000])
def test_due_entities_of_own_partitions_come_in_pages_by_key(store: Any, enter: Enter, few: int) -> None:
    enter(few_due(few))
    mine, other = take_lease(store, 0, of=2), take_lease(store, 1, of=2)
    keys = [entity_key(n, partition) for partition in (0, 1, 2) for n in (1, 2, 3)]
    store.batches.commit(mine, Batch(created=[entity_row(store, f"d{key}", key) for key in keys]))
    due: dict[int, int | None] = {key: 10 + index for index, key in enumerate(keys)}
    store.snapshots.write(mine, SnapshotBatch(1, due=due))
    store.snapshots.write(mine, SnapshotBatch(1, due={keys[1]: None}))
    own = [keys[0], keys[2], *keys[6:8]]
    assert store.snapshots.due(mine, 17, 0, 100) == own
    assert store.snapshots.due(mine, 17, own[0], 2) == own[1:3]
    assert store.snapshots.due(other, 14, 0, 100) == keys[3:5]


def test_own_entities_of_some_types_come_in_pages_by_key(store: Any) -> None:
    mine = take_lease(store, 0, of=2)
    types = {"a": store.names.etype_id("a"), "b": store.names.etype_id("b"), "c": store.names.etype_id("c")}
    keys = [entity_key(n, partition) for partition in (0, 1, 2) for n in (1, 2, 3)]
    made = [entity_row(store, str(key), key, "abc"[index % 3]) for index, key in enumerate(keys)]
    store.batches.commit(mine, Batch(created=made))
    own = [(row.key, row.etype, row.eid) for row in made if row.key >> 40 != 1 and row.etype != types["b"]]
    wanted = [types["a"], types["c"]]
    assert store.entities.own(mine, wanted, 0, 100) == own
    assert store.entities.own(mine, wanted, own[0][0], 2) == own[1:3]
    assert store.entities.own(mine, [], 0, 100) == []


def test_many_entities_and_their_profiles_are_read_at_once(store: Any, lease: Lease) -> None:
    created(store, lease, "d1", 1, plain=[plain_row(store, 1, "name", "x")])
    seen = [history_row(store, 1, attr, n, offset=n) for n, attr in enumerate(["z", "a", "z"], start=1)]
    store.batches.commit(lease, a_batch(seen))
    created(store, lease, "d2", 2)
    name = store.names.attr_id("device", "name")
    one, two, three = ((row.t1, row.t2, row.c, row.v.hex().upper(), 1) for row in seen)
    rows = sorted([(seen[0].attr, [one, three]), (seen[1].attr, [two])])
    profiles = {
        key: store.entities.decode_profile(found) for key, found in store.entities.profiles([1, 2, 3]).items()
    }
    ((order, written),) = {row[1:3] for row in profiles[1].plain}
    assert profiles == {
        1: Profile(1, 1, [(name, order, written, store.entities.encode_value("x"))], rows),
        2: Profile(2, 1),
    }
    assert written == store.entities.profile("device", "d1").plain[0].written
    etype = store.names.etype_id("device")
    assert store.entities.by_key([2, 3, 1]) == {1: (etype, "d1", 1), 2: (etype, "d2", 1)}


def test_timeseries_and_lifetimes_are_read_if_the_whole_profile_is_wanted(store: Any, lease: Lease) -> None:
    created(store, lease, "d1", 1, ttl=[(1, "base", 9)])
    chunk = history_row(store, 1, "traffic", 1, offset=1)._replace(c=None)
    store.batches.commit(lease, a_batch([chunk]))
    assert store.entities.decode_profile(store.entities.profiles([1])[1]) == Profile(1, 1)
    chunks = [(chunk.attr, chunk.t1, chunk.t2, chunk.v.hex().upper())]
    assert store.entities.decode_profile(store.entities.profiles([1], whole=True)[1]) == Profile(
        1, 1, chunks=chunks, ttl={"base": 9}
    )


def test_types_without_snapshots_are_forgotten_but_not_their_old_rows(store: Any, lease: Lease) -> None:
    run = a_run(store, 1000)
    with_snapshots(store, lease, run, "a", {n: {"eid": {n}, "x": {1, 2}} for n in range(1, 600)})
    with_snapshots(store, lease, run, "b", {1000: {"eid": {1000}}})
    store.snapshots.remove_types([store.names.etype_id("b")])
    assert store.snapshots.latest([1, 1000]).keys() == {1000}
    assert (store.queries.count("a"), store.queries.find("a"), store.queries.latest("a", ["1"])) == (
        0,
        [],
        {},
    )
    assert store.queries.distinct("a", "x") == {}
    assert store.queries.count("b") == 1
    assert [row.doc for row in store.snapshots.of("a", "1")] == [b"1"]


def test_others_have_their_turn_while_types_without_snapshots_are_forgotten(
    store: Any, lease: Lease, enter: Enter, backend: Backend
) -> None:
    with_snapshots(store, lease, a_run(store, 1000), "a", {n: {"eid": {n}} for n in range(1, 41)})
    turns = enter(backend.transactions())
    enter(short_removals())
    store.snapshots.remove_types([])
    assert store.queries.count("a") == 0
    assert len(turns) == 40 // removed_at_once() + 1


def test_deleted_entities_are_in_no_answer_at_once_and_nothing_is_left_of_them(
    store: Any, lease: Lease, backend: Backend
) -> None:
    run = a_run(store, 1000)
    entities = {n: {"eid": {n}, "x": set(range(10))} for n in (1, 2)}
    with_snapshots(store, lease, run, "a", {2: entities[2]})
    kept = stored_rows(backend)
    with_snapshots(store, lease, run, "a", {3: {"eid": {3}, "x": set(range(10)), "y": {0}}})
    store.batches.commit(lease, Batch(links=[a_link(store, 3, "x", attr=store.names.attr_id("a", "peer"))]))
    store.snapshots.write(lease, SnapshotBatch(run, missing=[3], due={3: 7}))
    store.batches.commit(lease, Batch(deleted=[3]))
    assert store.queries.count("a") == 1
    assert [row.eid for row in store.queries.find("a", EVERYTHING, [Order("x")])] == ["2"]
    assert store.queries.distinct("a", "y") == {}
    assert store.queries.latest("a", ["2", "3"]).keys() == {"2"}
    assert store.snapshots.of("a", "3") == []
    for _ in range(40):
        more = store.entities.collect_garbage(lease, 1)
        assert [row.eid for row in store.queries.find("a", EVERYTHING, [Order("x"), Order("y", True)])] == [
            "2"
        ]
        assert store.queries.count("a") == 1
    assert more is False
    assert stored_rows(backend) == kept
