"""Links between entities: what a commit stores, and asking from both ends."""

from typing import Any

import pytest

from dp3.clock import FakeClock
from dp3.clock_watch import ClockWatch
from dp3.engine.jobs.snapshots.dirty import CHANGES_LANE, SEEN_LANE
from dp3.store.ports.batches import NO_TARGET, Batch, LinkRow
from dp3.store.ports.leases import Lease
from dp3.store.ports.snapshots import SnapshotBatch
from kit.rows import entity_row
from kit.run_rows import FOREVER, a_link, a_run, close

START = (0, 0, 0)


@pytest.fixture
def devices(store: Any, lease: Lease) -> Any:
    """A state with three devices: d1, d2, d3 with the keys 1, 2, 3."""
    store.batches.commit(lease, Batch(created=[entity_row(store, f"d{n}", n) for n in (1, 2, 3)]))
    return store


def commit(store: Any, lease: Lease, *links: LinkRow) -> None:
    store.batches.commit(lease, Batch(links=list(links)))


def plain_link(store: Any, source: int, target: str, order: int) -> LinkRow:
    return a_link(store, source, target, until=FOREVER, order=order, replaces=True)


def no_link(store: Any, source: int, order: int) -> LinkRow:
    etype, eid = NO_TARGET
    return plain_link(store, source, eid, order)._replace(target_etype=etype)


def peer(store: Any) -> int:
    number: int = store.names.attr_id("device", "peer")
    return number


def sources(store: Any, target: str, at: int = 50) -> list[str]:
    asked = (store.names.etype_id("device"), target)
    return [eid for _, _, eid in store.links.incoming([asked], [peer(store)], at)[asked]]


def targets(store: Any, at: int = 50) -> list[tuple[str, str]]:
    edges = store.links.edges([peer(store)], at, START, 100)
    nodes = store.links.nodes([node for edge in edges for node in (edge.source, edge.target)])
    return sorted((nodes[edge.source].eid, nodes[edge.target].eid) for edge in edges)


def changed(store: Any, since: int) -> list[str]:
    """The targets that commits after a number changed."""
    return [eid for _, eid in store.links.targets_changed([peer(store)], since, 0, 0)]


def ended(store: Any, after: int, until: int) -> list[str]:
    """The targets whose links ended by themselves in a range of times."""
    last = store.links.last_change()
    return [eid for _, eid in store.links.targets_changed([peer(store)], last, after, until)]


def test_a_link_is_seen_from_both_ends_until_it_ends(devices: Any, lease: Lease) -> None:
    commit(devices, lease, a_link(devices, 1, "d2", until=100))
    assert sources(devices, "d2", at=99) == ["d1"]
    assert targets(devices, at=99) == [("d1", "d2")]
    assert sources(devices, "d2", at=100) == []
    assert targets(devices, at=100) == []


def test_of_equal_observed_links_the_one_that_holds_longest_stays(devices: Any, lease: Lease) -> None:
    commit(devices, lease, a_link(devices, 1, "d2", until=70), a_link(devices, 1, "d2", until=100))
    commit(devices, lease, a_link(devices, 1, "d2", until=60))
    assert [edge.until for edge in devices.links.edges([peer(devices)], 0, START, 9)] == [100]


def test_observed_links_of_one_source_do_not_replace_each_other(devices: Any, lease: Lease) -> None:
    commit(devices, lease, a_link(devices, 1, "d2"))
    commit(devices, lease, a_link(devices, 1, "d3"))
    assert targets(devices) == [("d1", "d2"), ("d1", "d3")]


def test_a_new_value_of_a_plain_relation_replaces_all_its_links(devices: Any, lease: Lease) -> None:
    commit(devices, lease, plain_link(devices, 1, "d2", 5), plain_link(devices, 1, "d3", 5))
    commit(devices, lease, plain_link(devices, 1, "d3", 6), plain_link(devices, 1, "d4", 6))
    assert targets(devices) == [("d1", "d3"), ("d1", "d4")]


def test_an_older_value_of_a_plain_relation_does_nothing(devices: Any, lease: Lease) -> None:
    commit(devices, lease, plain_link(devices, 1, "d3", 6))
    commit(devices, lease, plain_link(devices, 1, "d2", 5))
    assert targets(devices) == [("d1", "d3")]


def test_of_several_values_in_one_batch_the_one_written_last_counts(devices: Any, lease: Lease) -> None:
    commit(devices, lease, plain_link(devices, 1, "d3", 6), plain_link(devices, 1, "d2", 5))
    assert targets(devices) == [("d1", "d3")]


def test_a_confirmed_plain_link_is_not_undone_by_an_older_value(devices: Any, lease: Lease) -> None:
    for target, order in (("d2", 1), ("d2", 5), ("d3", 3)):
        commit(devices, lease, plain_link(devices, 1, target, order))
    assert targets(devices) == [("d1", "d2")]


def test_a_replaced_link_is_over_whatever_the_clock_said(
    devices: Any, lease: Lease, clock: FakeClock
) -> None:
    commit(devices, lease, plain_link(devices, 1, "d2", 5))
    clock.advance(400 * 86_400)
    commit(devices, lease, plain_link(devices, 1, "d3", 6))
    clock.advance(-400 * 86_400)
    assert targets(devices, at=clock.now_us()) == [("d1", "d3")]
    assert sources(devices, "d2", at=clock.now_us()) == []


def test_an_emptied_plain_relation_has_no_links_and_older_values_stay_away(
    devices: Any, lease: Lease
) -> None:
    commit(devices, lease, plain_link(devices, 1, "d2", 5))
    commit(devices, lease, no_link(devices, 1, 7))
    commit(devices, lease, plain_link(devices, 1, "d2", 5))
    assert targets(devices) == []
    commit(devices, lease, plain_link(devices, 1, "d3", 8))
    assert targets(devices) == [("d1", "d3")]


def test_a_target_need_not_exist(devices: Any, lease: Lease) -> None:
    commit(devices, lease, a_link(devices, 1, "nobody"))
    edge = devices.links.edges([peer(devices)], 0, START, 1)[0]
    nodes = devices.links.nodes([edge.source, edge.target])
    assert nodes[edge.source].entity == 1
    assert (nodes[edge.target].eid, nodes[edge.target].entity) == ("nobody", 0)


def test_links_of_sources_that_do_not_exist_are_left_out(devices: Any, lease: Lease) -> None:
    commit(devices, lease, a_link(devices, 9, "d2"), plain_link(devices, 8, "d2", 1))
    assert targets(devices) == []


def test_with_its_source_a_link_is_gone_at_once(devices: Any, lease: Lease) -> None:
    commit(devices, lease, a_link(devices, 1, "d2"), a_link(devices, 3, "d2"))
    devices.batches.commit(lease, Batch(deleted=[1]))
    assert sources(devices, "d2") == ["d3"]
    assert targets(devices) == [("d3", "d2")]


def test_a_source_made_again_keeps_its_new_links_when_garbage_is_removed(devices: Any, lease: Lease) -> None:
    old = [a_link(devices, 1, target, until=FOREVER) for target in ("d2", "d3")]
    commit(devices, lease, *old)
    new = [a_link(devices, 4, "d2", until=FOREVER)]
    devices.batches.commit(lease, Batch(deleted=[1], created=[entity_row(devices, "d1", 4)], links=new))
    assert devices.entities.collect_garbage(lease, 1000) is False
    assert targets(devices) == [("d1", "d2")]
    assert sources(devices, "d2") == ["d1"]


def test_edges_come_in_pages_by_relation_source_and_target(devices: Any, lease: Lease) -> None:
    other = devices.names.attr_id("device", "uplink")
    links = [a_link(devices, n, f"d{m}") for n in (1, 2, 3) for m in (1, 2, 3) if n != m]
    commit(devices, lease, *links, *(link._replace(attr=other) for link in links[:2]))
    attrs = [other, peer(devices)]
    everything = devices.links.edges(attrs, 0, START, 100)
    assert everything == sorted(everything)
    assert len(everything) == 8
    paged, after = [], START
    while page := devices.links.edges(attrs, 0, after, 3):
        paged += page
        after = page[-1][:3]
    assert paged == everything


def test_every_target_that_was_asked_for_has_an_answer(devices: Any) -> None:
    asked = [(devices.names.etype_id("device"), "d1"), (devices.names.etype_id("device"), "nobody")]
    assert devices.links.incoming(asked, [peer(devices)], 0) == {asked[0]: [], asked[1]: []}


def test_targets_change_when_links_are_made_and_not_when_they_are_confirmed(
    devices: Any, lease: Lease
) -> None:
    before = devices.links.last_change()
    commit(devices, lease, a_link(devices, 1, "d2", until=FOREVER), plain_link(devices, 2, "d3", 1))
    assert changed(devices, before) == ["d2", "d3"]
    since = devices.links.last_change()
    commit(devices, lease, a_link(devices, 1, "d2", until=FOREVER + 1), plain_link(devices, 2, "d3", 2))
    assert changed(devices, since) == []


def test_both_targets_change_when_a_link_is_replaced(devices: Any, lease: Lease) -> None:
    commit(devices, lease, plain_link(devices, 1, "d2", 1))
    since = devices.links.last_change()
    commit(devices, lease, plain_link(devices, 1, "d3", 2))
    assert changed(devices, since) == ["d2", "d3"]


def test_targets_change_when_the_source_is_deleted(devices: Any, lease: Lease) -> None:
    commit(devices, lease, a_link(devices, 1, "d2", until=FOREVER))
    since = devices.links.last_change()
    devices.batches.commit(lease, Batch(deleted=[1]))
    assert changed(devices, since) == ["d2"]


def test_a_change_is_seen_whatever_the_clock_said_then(devices: Any, lease: Lease, clock: FakeClock) -> None:
    since = devices.links.last_change()
    for jump_s, target in ((400 * 86_400, "d2"), (-800 * 86_400, "d3")):
        clock.advance(jump_s)
        commit(devices, lease, a_link(devices, 1, target, until=FOREVER))
    assert changed(devices, since) == ["d2", "d3"]


def test_a_target_changes_when_a_link_ends_by_itself(devices: Any, lease: Lease, clock: FakeClock) -> None:
    end = clock.now_us() + 10
    commit(devices, lease, a_link(devices, 1, "d2", until=end))
    assert ended(devices, end - 1, end) == ["d2"]
    assert ended(devices, end, end + 1) == []


def test_a_target_changes_when_an_ended_link_is_made_again(
    devices: Any, lease: Lease, clock: FakeClock
) -> None:
    commit(devices, lease, a_link(devices, 1, "d2", until=clock.now_us() + 10))
    clock.advance(1)
    since = devices.links.last_change()
    commit(devices, lease, a_link(devices, 1, "d2", until=clock.now_us() + 10))
    assert changed(devices, since) == ["d2"]


def test_what_complete_runs_have_seen_is_forgotten_after_a_while(
    devices: Any, lease: Lease, clock: FakeClock
) -> None:
    begin = clock.now_us()
    commit(devices, lease, a_link(devices, 1, "d2", until=begin + 10), no_link(devices, 2, 1))
    clock.advance(7200)
    complete(devices, lease, a_run(devices, clock.now_us()), clock.now_us(), devices.links.last_change())
    assert devices.entities.collect_garbage(lease, 1) is True
    assert devices.entities.collect_garbage(lease, 1000) is False
    assert (changed(devices, 0), ended(devices, begin - 1, clock.now_us())) == ([], [])
    commit(devices, lease, plain_link(devices, 2, "d3", 0))
    assert targets(devices) == [], "that the relation was emptied is still known"


def complete(store: Any, lease: Lease, run: int, time: int, seen: int) -> None:
    """A run that has seen changes of links up to a number."""
    lanes = ((SEEN_LANE, time), (CHANGES_LANE, seen))
    watermarks = [(partition, lane, value) for partition in range(store.partitions) for lane, value in lanes]
    store.snapshots.write(lease, SnapshotBatch(run, watermarks=watermarks))
    close(store, run)


def test_a_clock_that_is_set_while_links_are_to_be_removed_removes_none(
    devices: Any, lease: Lease, clock: FakeClock
) -> None:
    """Whether it is right is asked after it was read: a transaction is waited for in between."""
    until = clock.now_us() + 86_400_000_000
    commit(devices, lease, a_link(devices, 1, "d2", until=until))
    watch = ClockWatch(clock)
    assert watch.is_trusted
    clock.jump(365 * 86_400)
    assert devices.entities.collect_garbage(lease, 1000, lambda: watch.is_trusted) is False
    assert targets(devices, until - 1) == [("d1", "d2")]


def test_changes_that_no_run_has_seen_are_kept(devices: Any, lease: Lease, clock: FakeClock) -> None:
    begin = clock.now_us()
    run, seen = a_run(devices, begin), devices.links.last_change()
    clock.advance(7200)
    commit(devices, lease, a_link(devices, 1, "d2", until=clock.now_us() + 10))
    devices.entities.collect_garbage(lease, 1000)
    clock.advance(7200)
    complete(devices, lease, run, begin, seen)
    devices.entities.collect_garbage(lease, 1000)
    assert (changed(devices, seen), ended(devices, begin, clock.now_us())) == (["d2"], ["d2"])
