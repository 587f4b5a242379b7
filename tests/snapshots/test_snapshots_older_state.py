"""A state that was replaced by an older copy, beside a log that knows more."""

from pathlib import Path
from typing import Any

from dp3.common.task import DataPointTask
from dp3.hooks.registrar import CallbackRegistrar
from kit.engine import RUNS_MODEL, Engine, an_engine
from kit.points import derived
from kit.worker import SteppedWorker, settle


def tell(registrar: CallbackRegistrar) -> None:
    def hook(etype: str, values: dict[str, Any]) -> list[DataPointTask]:
        return [derived("told", "p", values["p"], "t", RUNS_MODEL)]

    registrar.register_correlation_hook(hook, "a", [["p"]], [])


def run(cluster: Engine, worker: SteppedWorker) -> None:
    cluster.clock.advance(1)
    assert worker.request_run() is not None
    settle(worker)
    for _ in range(2_000):
        if not worker.has_tasks():
            return
        worker.step()
    raise AssertionError("tasks stay in the outbox")


def test_tasks_of_runs_after_the_replacement_come_to_the_log(tmp_path: Path) -> None:
    with an_engine() as cluster:
        worker = cluster.start(register=tell)
        cluster.put("a", "a1", p=1)
        settle(worker)
        worker.stop()
        cluster.copy_state(tmp_path / "copy")
        worker = cluster.start(tell)
        run(cluster, worker)
        run(cluster, worker)
        cluster.put("a", "a1", p=2)
        settle(worker)
        worker.stop()
        cluster.replace_state(tmp_path / "copy")
        worker = cluster.start(tell)
        settle(worker)
        run(cluster, worker)
        worker.stop()
        assert [task.points[0].v for task in cluster.derived()] == [1, 1, 2]
