"""A state that was replaced by an older copy, beside a log that knows more."""

import shutil
from pathlib import Path
from typing import Any

from workers_kit import MODEL, PARTITIONS, Cluster, OneWorker, a_cluster, settle

from dp3.common.task import DataPointTask
from dp3.hooks.registrar import CallbackRegistrar
from dp3.store.sqlite import open_store


def tell(registrar: CallbackRegistrar) -> None:
    def hook(etype: str, values: dict[str, Any]) -> list[DataPointTask]:
        points = [{"etype": "t", "eid": "told", "attr": "p", "v": values["p"]}]
        return [DataPointTask(model_spec=MODEL, etype="t", eid="told", data_points=points)]

    registrar.register_correlation_hook(hook, "a", [["p"]], [])


def run(cluster: Cluster, worker: OneWorker) -> None:
    cluster.clock.advance(1)
    assert worker.snapshots.request() is not None
    settle(worker)
    for _ in range(2_000):
        if not cluster.store.pending_outbox(worker.lease, 0, 1):
            return
        worker.step()
    raise AssertionError("tasks stay in the outbox")


def with_another_state(cluster: Cluster, source: Path, target: Path) -> OneWorker:
    """Close the state, copy it, open what is there then."""
    cluster.store.close()
    shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("log"))
    cluster.store = open_store(cluster.directory, cluster.clock, partitions=PARTITIONS)
    return cluster.start(register=tell)


def test_tasks_of_runs_after_the_replacement_come_to_the_log(tmp_path: Path) -> None:
    with a_cluster() as cluster:
        worker = cluster.start(register=tell)
        cluster.put("a", "a1", p=1)
        settle(worker)
        worker.stop()
        worker = with_another_state(cluster, cluster.directory, tmp_path)
        run(cluster, worker)
        run(cluster, worker)
        cluster.put("a", "a1", p=2)
        settle(worker)
        worker.stop()
        worker = with_another_state(cluster, tmp_path, cluster.directory)
        settle(worker)
        run(cluster, worker)
        worker.stop()
        assert [task.points[0].v for task in cluster.derived()] == [1, 1, 2]
