"""Slices of a run are written beside the worker's thread, but never beside a hook."""

from collections.abc import Callable
from threading import Event
from typing import Any

import pytest

from dp3.hooks.registrar import CallbackRegistrar
from dp3.store.ports.leases import Lease
from dp3.store.ports.snapshots import SnapshotBatch
from kit.engine import Engine
from kit.faults import run_writes
from kit.limits import Enter, run_pages
from kit.worker import SteppedWorker, settle

ENTITIES = 12
WAIT_S = 0.02

Values = dict[str, Any]


def put_entities(cluster: Engine) -> None:
    for i in range(ENTITIES):
        cluster.put("a", f"e{i}", p=i)


def calling(hook: Callable[[str, Values], None]) -> Callable[[CallbackRegistrar], None]:
    return lambda registrar: registrar.register_correlation_hook(hook, "a", [["p"]], [["risk"]])


def run(cluster: Engine, worker: SteppedWorker) -> None:
    begun = worker.request_run()
    settle(worker)
    [last] = cluster.store.runs.last(1)
    assert begun is not None and (last.id, last.status) == (begun.id, "complete")


def stored(cluster: Engine) -> int:
    """How many entities have a row."""
    return sum(bool(cluster.snapshots("a", f"e{i}")) for i in range(ENTITIES))


def test_no_hook_runs_beside_the_writing_of_a_slice(cluster: Engine, enter: Enter) -> None:
    called, beside = Event(), []

    def write(write: Any, lease: Lease, batch: SnapshotBatch) -> None:
        called.clear()
        beside.append(called.wait(WAIT_S))
        write(lease, batch)
        beside.append(called.is_set())

    enter(run_pages(1, 1))
    worker = cluster.start(calling(lambda etype, values: called.set()))
    put_entities(cluster)
    settle(worker)
    enter(run_writes(cluster.store, write))
    run(cluster, worker)
    assert len(beside) > 2 * ENTITIES
    assert not any(beside)
    assert stored(cluster) == ENTITIES
    worker.stop()


@pytest.mark.parametrize(("wait_s", "behind"), [(WAIT_S, 0), (0.0, 1)], ids=["waiting", "computing"])
def test_what_is_done_waits_for_no_hook_that_waits_and_for_one_page_of_others(
    cluster: Engine, enter: Enter, wait_s: float, behind: int
) -> None:
    seen: list[int] = []

    def hook(etype: str, values: Values) -> None:
        Event().wait(wait_s)
        seen.append(stored(cluster))

    enter(run_pages(1, 1))
    worker = cluster.start(calling(hook))
    put_entities(cluster)
    settle(worker)
    run(cluster, worker)
    assert len(seen) == ENTITIES
    assert all(number >= place - behind for place, number in enumerate(seen))
    worker.stop()
