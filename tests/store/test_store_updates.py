"""Progress with the batches of periodic hooks is read as it was written."""

from dp3.store.ports.leases import Lease
from dp3.store.ports.state import State
from dp3.store.ports.updates import UpdateBatch, UpdateCycle, UpdateGroup, UpdateProgress

PERIOD = 60_000_000


def a_group(store: State) -> UpdateGroup:
    return UpdateGroup("periodic_update", store.names.etype_id("device"), PERIOD)


def test_progress_is_what_was_written_last_in_each_partition(store: State, lease: Lease) -> None:
    group = a_group(store)
    under_way = UpdateProgress(0, 1, 2, 0, 5, 10, 3, 7, True, 1)
    through = UpdateProgress(1, 1, 2, 0, 5, 10, 10, 9, False)
    store.updates.write(lease, UpdateBatch(group, 1, rows=[under_way, through]))
    assert store.updates.progress(group) == {0: under_way, 1: through}
    later = under_way._replace(done=10, open=False, tries=0)
    store.updates.write(lease, UpdateBatch(group, 1, rows=[later]))
    assert store.updates.progress(group) == {0: later, 1: through}
    assert store.updates.progress(group._replace(period=1)) == {}


def test_visits_of_a_cycle_are_added_up_until_it_is_finished(store: State, lease: Lease) -> None:
    group = a_group(store)
    first = UpdateCycle(group, 0, begun=1, updated=2, batch=0, batches=2, visited=3, missed=1, finished=False)
    last = first._replace(updated=4, batch=1, visited=5, missed=0, finished=True)
    for cycle in (first, last):
        store.updates.write(lease, UpdateBatch(group, 1, cycles=[cycle]))
    assert store.updates.cycles(10) == [("device", last._replace(visited=8, missed=1))]


def test_of_the_cycles_of_a_group_the_newest_are_kept(store: State, lease: Lease) -> None:
    group = a_group(store)
    cycles = [UpdateCycle(group, 0, begun, begun, 0, 1, 1, 0, True) for begun in (1, 2, 3)]
    store.updates.write(lease, UpdateBatch(group, 1, cycles=cycles))
    store.updates.forget_cycles(lease, 2)
    assert [cycle.begun for _, cycle in store.updates.cycles(10)] == [3, 2]
