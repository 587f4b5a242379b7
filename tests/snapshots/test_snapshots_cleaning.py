"""When workers remove old snapshots, and what they say about it."""

import logging

import pytest

from dp3.clock import LAST_US
from kit.engine import Engine, an_engine
from kit.limits import run_cleaning_rows, short_slices
from kit.points import START_US
from kit.worker import SteppedWorker, settle

HOUR_US = 3_600_000_000
HOURLY = {"run_cleaning": {"minute": 26, "second": 0}, "runs_older_than_us": 3 * HOUR_US}
"""The clock of the tests begins 40 s later."""


def live(cluster: Engine, worker: SteppedWorker, hours: int, entities: int = 1) -> None:
    """Every hour something changes, and there is a run."""
    for hour in range(hours):
        for i in range(entities):
            cluster.put("a", f"a{i}", p=hour)
        settle(worker)
        worker.request_run()
        settle(worker)
        cluster.clock.advance(3_600)


def shown_hours(cluster: Engine, eid: str = "a0") -> list[int]:
    return [snapshot["p"] for snapshot in cluster.snapshots("a", eid)]


def test_snapshots_older_than_the_limit_go_at_the_times_of_the_schedule(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with an_engine() as cluster:
        worker = cluster.start(**HOURLY)
        live(cluster, worker, hours=6)
        assert shown_hours(cluster) == [2, 3, 4, 5]
        with caplog.at_level(logging.INFO, "dp3"):
            settle(worker)
        assert shown_hours(cluster) == [3, 4, 5]
        runs = cluster.store.runs.last(10)
        assert [run.time for run in runs] == [START_US + hour * HOUR_US for hour in (5, 4, 3)]
        assert "are removed: 1 runs, 1 snapshots of own entities" in caplog.text
        worker.stop()


def test_a_moment_of_the_schedule_that_came_by_a_wrong_clock_removes_nothing_once_it_is_right() -> None:
    with an_engine() as cluster:
        worker = cluster.start(**HOURLY)
        live(cluster, worker, hours=2)
        ahead_s = 365 * 86_400 - 30
        cluster.clock.jump(ahead_s)
        settle(worker)
        cluster.clock.jump(-ahead_s)
        settle(worker)
        cluster.clock.advance(1_000)
        settle(worker)
        assert shown_hours(cluster) == [0, 1]
        worker.stop()


def test_what_was_begun_goes_on_after_a_restart_in_small_slices() -> None:
    with an_engine() as cluster:
        worker = cluster.start()
        live(cluster, worker, hours=4, entities=10)
        cluster.store.cleaning.raise_horizon(worker.lease, cluster.clock.now_us(), LAST_US)
        with run_cleaning_rows(7), short_slices():
            for left in (33, 26, 19, 12, 10):
                worker.stop()
                worker = cluster.start()
                worker.step()
                assert stored_rows(cluster) == left
        worker.stop()


def stored_rows(cluster: Engine) -> int:
    return sum(len(cluster.store.snapshots.of("a", f"a{i}")) for i in range(10))


def test_a_busy_worker_removes_some_after_every_sixteenth_batch() -> None:
    with an_engine() as cluster:
        worker = cluster.start()
        live(cluster, worker, hours=4)
        worker.stop()
        worker = cluster.start()
        cluster.store.cleaning.raise_horizon(worker.lease, cluster.clock.now_us(), LAST_US)
        for i in range(16):
            assert len(cluster.store.snapshots.of("a", "a0")) == 4
            cluster.put("a", "b", p=i)
            worker.step()
        assert len(cluster.store.snapshots.of("a", "a0")) == 1
        worker.stop()


def test_without_old_snapshots_a_worker_has_nothing_to_do() -> None:
    with an_engine() as cluster:
        worker = cluster.start(**HOURLY)
        settle(worker)
        assert not worker.step()
        cluster.clock.advance(3_600)
        settle(worker)
        assert not worker.step()
        worker.stop()
