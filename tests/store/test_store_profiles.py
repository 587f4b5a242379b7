"""What a commit does to profiles and what readers see of it."""

from collections.abc import Callable
from time import sleep

from dp3.history import Params
from dp3.model.wire import encode_value
from dp3.store.ports.batches import Batch, Tombstone
from dp3.store.ports.leases import Lease
from dp3.store.ports.state import State
from dp3.store.postgres.database import POLL_S
from kit.program import wait_for
from kit.rows import a_batch, created, entity_key, entity_row, history_row, plain_row


def values(store: State, eid: str = "d1") -> dict[int, bytes]:
    profile = store.entities.profile("device", eid)
    assert profile is not None
    return {row.attr: row.v for row in profile.plain}


def test_an_entity_that_was_never_created_has_no_profile(store: State) -> None:
    assert store.entities.profile("device", "d1") is None


def test_a_profile_holds_all_rows_of_its_entity_and_no_others(store: State, lease: Lease) -> None:
    mine = plain_row(store, 1, "name", "x")
    moments = [history_row(store, 1, "load", 0.5, offset=2), history_row(store, 1, "state", "up", offset=1)]
    other, other_moment = plain_row(store, 2, "name", "y"), history_row(store, 2, "load", 1, offset=3)
    batch = a_batch(
        created=[entity_row(store, "d1", 1, created=7), entity_row(store, "d2", 2)],
        plain=[other, mine],
        history=[*moments, other_moment],
        ttl=[(1, "base", 99), (2, "base", 98)],
    )
    store.batches.commit(lease, batch)
    profile = store.entities.profile("device", "d1")
    assert profile == (7, [mine], [moments[1], moments[0]], {"base": 99}, [])


def test_an_entity_can_be_read_attribute_by_attribute(store: State, lease: Lease) -> None:
    name, load = plain_row(store, 1, "name", "x"), history_row(store, 1, "load", 0.5, offset=1)
    created(store, lease, plain=[name], history=[load])
    with store.entities.history("device", "d1") as found:
        assert found is not None
        assert (found.created, found.ttl, found.plain("name"), found.plain("load")) == (1, {}, name, None)
        assert [row[3] for row in found.observed("load", Params()).fresh] == [load.v.hex().upper()]
        assert found.plain("unknown") is None
        for nothing in ("name", "unknown"):
            assert (list(found.observed(nothing, Params()).fresh), found.chunks(nothing, 0, 9)) == ([], [])
    with store.entities.history("device", "nobody") as found:
        assert found is None


def test_entities_of_different_types_may_have_the_same_id(store: State, lease: Lease) -> None:
    new = [entity_row(store, "1", 1, etype="bus"), entity_row(store, "1", 2, etype="line", created=3)]
    store.batches.commit(lease, Batch(created=new))
    assert store.entities.find([(entity.etype, "1") for entity in new]) == {
        (new[0].etype, "1"): (1, 1),
        (new[1].etype, "1"): (2, 3),
    }


def test_only_entities_that_exist_are_found(store: State, lease: Lease) -> None:
    created(store, lease)
    etype = store.names.etype_id("device")
    assert store.entities.find([(etype, "d1"), (etype, "d2"), (etype + 1, "d1")]) == {(etype, "d1"): (1, 1)}


def test_the_value_processed_last_stays_if_several_are_written_at_one_moment(
    store: State, lease: Lease
) -> None:
    rows = [plain_row(store, 1, "name", v, written=5) for v in ("a", "c", "b")]
    created(store, lease, plain=rows)
    assert list(values(store).values()) == [encode_value("b")]


def test_an_older_value_does_not_replace_a_newer_one(store: State, lease: Lease) -> None:
    created(store, lease, plain=[plain_row(store, 1, "name", "new", written=5)])
    store.batches.commit(lease, Batch(plain=[plain_row(store, 1, "name", "old", written=4)]))
    assert list(values(store).values()) == [encode_value("new")]


def test_timeseries_rows_have_no_confidence(store: State, lease: Lease) -> None:
    row = history_row(store, 1, "packets", [1, 2], offset=1)._replace(c=None)
    created(store, lease, history=[row])
    assert store.entities.profile("device", "d1") == (1, [], [row], {}, [])


def test_a_lifetime_is_never_shortened(store: State, lease: Lease) -> None:
    created(store, lease, ttl=[(1, "base", 50)])
    store.batches.commit(lease, Batch(ttl=[(1, "base", 40), (1, "other", 10), (1, "other", 20)]))
    profile = store.entities.profile("device", "d1")
    assert profile is not None
    assert profile.ttl == {"base": 50, "other": 20}


def test_a_deleted_entity_has_no_profile_and_is_not_found(store: State, lease: Lease) -> None:
    created(store, lease, plain=[plain_row(store, 1, "name", "x")])
    store.batches.commit(lease, Batch(deleted=[1]))
    assert store.entities.profile("device", "d1") is None
    assert store.entities.find([(store.names.etype_id("device"), "d1")]) == {}


def test_an_entity_made_again_starts_empty(store: State, lease: Lease) -> None:
    created(
        store, lease, plain=[plain_row(store, 1, "name", "x")], history=[history_row(store, 1, "load", 1, 1)]
    )
    store.batches.commit(lease, Batch(deleted=[1], created=[entity_row(store, "d1", 2, created=8)]))
    assert store.entities.profile("device", "d1") == (8, [], [], {}, [])


def test_an_entity_may_come_go_and_come_again_within_one_batch(store: State, lease: Lease) -> None:
    new = [entity_row(store, "d1", 1), entity_row(store, "d1", 2, created=2)]
    store.batches.commit(lease, Batch(deleted=[1], created=new, plain=[plain_row(store, 1, "name", "gone")]))
    assert store.entities.profile("device", "d1") == (2, [], [], {}, [])
    assert store.entities.counts() == {"device": 1}


def test_tokens_of_an_entity_that_does_not_exist_are_left_out(store: State, lease: Lease) -> None:
    store.batches.commit(lease, Batch(ttl=[(1, "base", 9)]))
    created(store, lease)
    assert store.entities.profile("device", "d1") == (1, [], [], {}, [])


def test_counts_follow_creation_and_deletion(store: State, lease: Lease) -> None:
    new = [entity_row(store, f"d{n}", n) for n in (1, 2, 3)]
    store.batches.commit(lease, Batch(created=[*new, entity_row(store, "b", 4, etype="bus")]))
    store.batches.commit(lease, Batch(deleted=[1, 3, 999], created=new[:1]))
    assert store.entities.counts() == {"device": 1, "bus": 1}


def test_the_last_key_of_a_partition_is_remembered_after_deletion(store: State, lease: Lease) -> None:
    keys = [entity_key(1), entity_key(2), entity_key(7, partition=5)]
    store.batches.commit(lease, Batch(created=[entity_row(store, f"d{key}", key) for key in keys]))
    store.batches.commit(lease, Batch(deleted=keys))
    while store.entities.collect_garbage(lease, 100):
        pass
    assert store.entities.last_keys() == {0: keys[1], 5: keys[2]}


def test_ids_may_be_any_text(store: State, lease: Lease) -> None:
    eids = ["", "nul\0byte", "žluťoučký 🐎", "2001:db8::1", "'; DROP TABLE entity"]
    new = [entity_row(store, eid, number) for number, eid in enumerate(eids)]
    store.batches.commit(lease, Batch(created=new))
    assert [store.entities.profile("device", eid) for eid in eids] == [(1, [], [], {}, [])] * len(eids)
    assert len(store.entities.find([(entity.etype, entity.eid) for entity in new])) == len(eids)


def test_pages_of_entities_have_every_id_once_in_the_order_of_text(store: State, lease: Lease) -> None:
    eids = ["", "a", "a\0", "a\0b", "ab", "ž"]
    new = [entity_row(store, eid, number) for number, eid in enumerate(eids)]
    store.batches.commit(lease, Batch(created=new))
    for limit in (1, 2, 10):
        found: list[str] = []
        while page := store.entities.page("device", limit=limit, after=found[-1] if found else None):
            found += [eid for _, eid, _ in page]
        assert found == eids


def test_the_version_changes_with_every_commit_and_not_otherwise(store: State, lease: Lease) -> None:
    before = store.changes.version()
    assert store.changes.version() == before
    created(store, lease)
    assert store.changes.version() != before


def test_of_several_deletions_of_an_entity_in_one_batch_the_latest_counts(store: State, lease: Lease) -> None:
    etype = store.names.etype_id("device")
    deletions = [Tombstone(etype, "d1", 0, order, order * 10, order, 0) for order in (2, 6, 4)]
    store.batches.commit(lease, Batch(tombstones=deletions))
    (pending,) = store.lifetimes.tombstones(lease, 10)
    assert pending.tombstone == deletions[1]


def test_a_transaction_that_changes_nothing_wakes_nobody(
    open_state: Callable[..., State], store: State, lease: Lease
) -> None:
    other = open_state()
    created(store, lease)
    wait_for("the other process to have noticed", lambda: other.entities.counts() or None)
    before = store.changes.version(), settled(other)
    store.lifetimes.forget_tombstones(lease, derived=0, limit=10)
    assert (store.changes.version(), settled(other)) == before


def settled(state: State) -> int:
    """The version once it has been asked for after what happened before."""
    sleep(2 * POLL_S)
    return state.changes.version()
