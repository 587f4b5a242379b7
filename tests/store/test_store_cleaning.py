"""Snapshots and runs before a horizon are removed, in slices; what is shown from it on stays."""

from typing import Any

from dp3.clock import LAST_US
from dp3.store.ports.leases import Lease
from dp3.store.ports.snapshots import Cleaned
from kit.backends import Backend
from kit.rows import created, entity_key, take_lease
from kit.run_rows import a_run, close, completed, indexed, progress, written


def run_with(
    store: Any, lease: Lease, time: int, docs: dict[int, bytes], missing: tuple[int, ...] = ()
) -> int:
    """A complete run at a moment, with these new rows."""
    run = a_run(store, time)
    written(store, lease, run, docs, missing=list(missing), progress=progress(run))
    completed(store, lease, run)
    close(store, run)
    return run


def clean(store: Any, lease: Lease, before: int, max_rows: int = 1_000) -> Cleaned:
    """All there is to be removed; returns how much that was."""
    store.cleaning.raise_horizon(lease, before, LAST_US)
    total = Cleaned(more=True)
    while total.more:
        total = total.and_then(store.cleaning.clean(lease, max_rows))
    return total


def series(store: Any, eid: str = "d1") -> list[tuple[int, bytes]]:
    """(run, document) as stored."""
    return [(row.run, row.doc) for row in store.snapshots.of("device", eid)]


def times(store: Any) -> list[int]:
    return [run.time for run in store.runs.between(0, 1 << 62)]


def rows_in(backend: Backend, *tables: str) -> list[int]:
    return [backend.sql(f"SELECT count(*) FROM {table}")[0][0] for table in tables]


def test_rows_that_still_hold_at_the_horizon_stay_and_superseded_ones_go(store: Any, lease: Lease) -> None:
    created(store, lease, "d1", 1)
    created(store, lease, "d2", 2)
    runs = [
        run_with(store, lease, 10, {1: b"a", 2: b"x"}),
        run_with(store, lease, 20, {1: b"b"}),
        run_with(store, lease, 30, {1: b"c"}),
        run_with(store, lease, 40, {1: b"d"}),
    ]
    assert clean(store, lease, before=30) == Cleaned(runs=2, rows=2)
    assert series(store) == [(runs[2], b"c"), (runs[3], b"d")]
    assert series(store, "d2") == [(runs[0], b"x")]
    assert times(store) == [30, 40]
    assert store.runs.covered(2, runs) == set(runs[2:])
    assert store.cleaning.horizon() == 30


def test_what_belongs_to_removed_runs_goes_too(store: Any, lease: Lease, backend: Backend) -> None:
    created(store, lease, "d1", 1)
    run_with(store, lease, 10, {1: b"a"}, missing=(1,))
    last = run_with(store, lease, 20, {})
    clean(store, lease, before=15)
    assert rows_in(backend, "worker_run", "missing", "superseded", "cut") == [1, 0, 0, 2]
    assert [row.run for row in store.runs.workers(last)] == [last]


def test_the_newest_complete_run_and_those_after_it_stay_however_old(store: Any, lease: Lease) -> None:
    created(store, lease, "d1", 1)
    assert clean(store, lease, before=1_000) == Cleaned()
    run_with(store, lease, 10, {1: b"a"})
    run_with(store, lease, 20, {1: b"b"})
    partial = a_run(store, 30)
    written(store, lease, partial, {1: b"c"})
    close(store, partial, "partial: for a test")
    assert clean(store, lease, before=1_000) == Cleaned(runs=1, rows=1)
    assert times(store) == [20, 30]
    assert [doc for _, doc in series(store)] == [b"b", b"c"]


def test_nothing_goes_while_no_run_was_complete(store: Any, lease: Lease) -> None:
    created(store, lease, "d1", 1)
    for time in (10, 20):
        run = a_run(store, time)
        written(store, lease, run, {1: b"%d" % time})
        close(store, run, "partial: for a test")
    assert clean(store, lease, before=1_000) == Cleaned()
    assert times(store) == [10, 20]


def test_the_horizon_never_goes_back(store: Any, lease: Lease) -> None:
    created(store, lease, "d1", 1)
    for time in (10, 20, 30):
        run_with(store, lease, time, {1: b"%d" % time})
    store.cleaning.raise_horizon(lease, 30, LAST_US)
    assert clean(store, lease, before=20) == Cleaned(runs=2, rows=2)
    assert times(store) == [30]


def test_runs_go_before_rows_and_the_oldest_ones_first(store: Any, lease: Lease) -> None:
    created(store, lease, "d1", 1)
    for time in (10, 20, 30, 40):
        run_with(store, lease, time, {1: b"%d" % time})
    store.cleaning.raise_horizon(lease, 40, LAST_US)
    left = []
    while (cleaned := store.cleaning.clean(lease, 1)).more:
        left.append((times(store), [doc for _, doc in series(store)]))
        assert cleaned.rows <= 1
    assert left[0] == ([40], [b"20", b"30", b"40"])
    assert left[-1] == ([40], [b"40"])


def test_a_worker_removes_rows_of_its_own_entities_only(store: Any, backend: Backend) -> None:
    mine, other = take_lease(store, 0, of=2), take_lease(store, 1, of=2)
    theirs = entity_key(1, partition=3)
    created(store, other, "d1", theirs)
    for time in (10, 20):
        run = a_run(store, time, workers=2)
        written(store, other, run, {theirs: b"%d" % time}, missing=[theirs])
        completed(store, other, run, [3])
        completed(store, mine, run, [0])
        close(store, run)
    assert clean(store, mine, before=20) == Cleaned(runs=1)
    assert rows_in(backend, "snapshot", "missing", "cut") == [2, 2, 6]
    assert clean(store, other, before=0) == Cleaned(rows=1)
    assert rows_in(backend, "snapshot", "missing", "cut") == [1, 1, 4]


def test_a_series_that_ended_leaves_nothing_behind(store: Any, lease: Lease, backend: Backend) -> None:
    created(store, lease, "d1", 1)
    store.names.etype_id("other")
    run = a_run(store, 10)
    written(store, lease, run, {1: b"a"}, keys_added=indexed(store, "device", 1, {"eid": {"d1"}}))
    completed(store, lease, run)
    close(store, run)
    store.snapshots.remove_types([store.names.etype_id("other")])
    for time in (20, 30, 40):
        run_with(store, lease, time, {})
    assert rows_in(backend, "snapshot") == [2]
    assert clean(store, lease, before=30) == Cleaned(runs=2, rows=2)
    assert rows_in(backend, "snapshot", "superseded") == [0, 0]


def test_the_latest_snapshot_keeps_its_time_when_all_runs_that_saw_the_entity_are_removed(
    store: Any, lease: Lease
) -> None:
    created(store, lease, "d1", 1)
    keys = indexed(store, "device", 1, {"eid": {"d1"}})
    run = a_run(store, 10)
    written(store, lease, run, {1: b"a"}, keys_added=keys)
    completed(store, lease, run)
    close(store, run)
    run_with(store, lease, 20, {})
    for time in (30, 40, 50):
        run_with(store, lease, time, {}, missing=(1,))
    before = store.queries.find("device")
    assert [(row.run_time, row.doc) for row in before] == [(20, b"a")]
    clean(store, lease, before=40)
    assert times(store) == [40, 50]
    assert store.queries.find("device") == before
    run_with(store, lease, 60, {})
    assert [row.run_time for row in store.queries.find("device")] == [60]
