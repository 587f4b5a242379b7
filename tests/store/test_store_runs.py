"""Runs: one at a time, phases that only go forward, what they completed."""

from typing import Any

import pytest

from dp3.clock import FakeClock
from dp3.store.ports.leases import Lease
from dp3.store.ports.runs import Phase, Run
from dp3.store.ports.snapshots import SnapshotBatch
from kit.rows import created, entity_key, take_lease
from kit.run_rows import a_run, close, completed, progress


def test_a_run_begins_with_its_first_phase(store: Any, clock: FakeClock) -> None:
    run = store.runs.begin(1000, "model", 3)
    now = clock.now_us()
    assert run == Run(run.id, 1000, Phase.INIT, "model", 3, now, now, "", {})
    assert store.runs.open() == run


def test_no_run_begins_while_another_is_open(store: Any) -> None:
    run = a_run(store, 1000)
    assert store.runs.begin(2000, "model", 1) is None
    close(store, run)
    assert store.runs.begin(2000, "model", 1) is not None


@pytest.mark.parametrize("time", [999, 1000])
def test_of_workers_that_want_the_same_run_one_gets_it(store: Any, time: int) -> None:
    close(store, a_run(store, 1000))
    assert store.runs.begin(time, "model", 1) is None


def test_of_graphs_of_a_run_the_first_complete_one_counts(store: Any) -> None:
    one, other = take_lease(store, 0, 2), take_lease(store, 1, 2)
    run = a_run(store, 1000, workers=2)
    assert store.runs.graph(run) is None
    store.runs.put_graph(one, run, b"first" * 1_000_000)
    store.runs.put_graph(other, run, b"second")
    assert store.runs.graph(run) == b"first" * 1_000_000


def test_a_graph_is_forgotten_with_its_run(store: Any, lease: Lease) -> None:
    run = a_run(store, 1000)
    store.runs.put_graph(lease, run, b"graph")
    close(store, run)
    assert store.runs.graph(run) is None


def test_phases_go_forward_only(store: Any) -> None:
    run = a_run(store, 1000)
    store.runs.advance(run, Phase.FINALIZE, "", {"a": 1})
    store.runs.advance(run, Phase.WORK, "late", {"b": 2})
    assert (store.runs.open().phase, store.runs.open().detail) == (Phase.FINALIZE, {"a": 1})


def test_a_run_is_closed_once(store: Any, clock: FakeClock) -> None:
    run = a_run(store, 1000)
    clock.advance(5)
    store.runs.advance(run, Phase.CLOSED, "partial: worker 1", {"missing": [1]})
    store.runs.advance(run, Phase.CLOSED, "complete", {})
    assert store.runs.open() is None
    (last,) = store.runs.last(5)
    assert (last.status, last.detail) == ("partial: worker 1", {"missing": [1]})
    assert last.updated - last.started == 5_000_000


def test_what_is_said_of_a_run_is_added_to_what_is_known(store: Any) -> None:
    run = a_run(store, 1000)
    store.runs.advance(run, Phase.WORK, "", {"a": 1, "b": 1})
    store.runs.advance(run, Phase.CLOSED, "complete", {"b": 2})
    assert store.runs.last(1)[0].detail == {"a": 1, "b": 2}


def test_a_run_that_never_was_cannot_advance(store: Any) -> None:
    with pytest.raises(ValueError, match="there is no run 7 to advance to 'work'"):
        store.runs.advance(7, Phase.WORK, "", {})


def test_runs_are_listed_newest_first_and_by_time(store: Any) -> None:
    for time in (1000, 2000, 3000):
        close(store, a_run(store, time))
    a_run(store, 4000)
    newest = store.runs.last(2)
    assert [run.time for run in newest] == [4000, 3000]
    assert [run.time for run in store.runs.last(9, before=newest[-1].id)] == [2000, 1000]
    assert [run.time for run in store.runs.between(2000, 4000)] == [2000, 3000], "closed ones only"


def test_runs_can_be_asked_for_by_the_time_of_their_beginning(store: Any, clock: FakeClock) -> None:
    began = []
    for time in (1000, 2000, 3000, 4000):
        clock.advance(1)
        began.append(clock.now_us())
        close(store, a_run(store, time))
    last_three = (began[1], began[3])
    newest = store.runs.begun(*last_three, 0, 2, newest_first=True)
    oldest = store.runs.begun(*last_three, 1, 2, newest_first=False)
    assert [run.time for run in newest] == [4000, 3000]
    assert [run.time for run in oldest] == [3000, 4000]


def test_the_last_progress_of_each_worker_is_known(store: Any, lease: Lease) -> None:
    run = a_run(store, 1000)
    for mark in ({"after": 1}, {"after": 2}):
        store.snapshots.write(lease, SnapshotBatch(run, progress=progress(run, 1, mark=mark, entities=5)))
    store.snapshots.write(lease, SnapshotBatch(run, progress=progress(run, 0, done="init")))
    assert store.runs.workers(run) == [
        progress(run, 0, done="init"),
        progress(run, 1, mark={"after": 2}, entities=5),
    ]


def test_the_cut_of_a_partition_is_that_of_the_last_run_that_completed_it(store: Any, lease: Lease) -> None:
    assert store.runs.watermarks() == {}
    first = a_run(store, 1000)
    completed(store, lease, first, (0, 1))
    close(store, first)
    second = a_run(store, 2000)
    completed(store, lease, second, (1,))
    assert store.runs.watermarks() == {
        (0, 0): first * 10,
        (0, 1): first * 10,
        (1, 0): second * 10,
        (1, 1): second * 10,
    }


def test_a_run_covers_the_entities_of_partitions_it_completed_except_missing_ones(
    store: Any, lease: Lease
) -> None:
    other = entity_key(1, partition=3)
    created(store, lease, "d1", 1)
    created(store, lease, "d2", 2)
    created(store, lease, "d3", other)
    run = a_run(store, 1000)
    store.snapshots.write(lease, SnapshotBatch(run, missing=[2]))
    assert store.runs.covered(1, [run]) == set()
    completed(store, lease, run, (0,))
    assert store.runs.covered(1, [run, run + 1]) == {run}
    assert store.runs.covered(2, [run]) == set()
    assert store.runs.covered(other, [run]) == set()


def test_what_is_completed_after_the_work_of_a_run_does_not_count(store: Any, lease: Lease) -> None:
    run = a_run(store, 1000)
    store.runs.advance(run, Phase.FINALIZE, "", {})
    completed(store, lease, run, (0,))
    assert store.runs.watermarks() == {}


def test_a_run_that_goes_on_as_void_has_completed_nothing(store: Any, lease: Lease) -> None:
    created(store, lease, "d1", 1)
    run = a_run(store, 1000)
    completed(store, lease, run, (0, 1))
    store.runs.advance(run, Phase.FINALIZE, "", {}, void=True)
    assert (store.runs.watermarks(), store.runs.covered(1, [run])) == ({}, set())
