"""Benchmarks of the real program, in small."""

import pytest

from dp3.bench.application import Application
from dp3.bench.floor import measure
from dp3.bench.load import send
from dp3.bench.report import BenchFailed, expect
from dp3.bench.server import running
from dp3.bench.workload import Workload
from dp3.clock import FakeClock
from dp3.log.sqlite import open_log
from dp3.store.sqlite import open_state


def test_a_failure_comes_with_what_the_program_said_last():
    with (
        pytest.raises(BenchFailed, match=r"(?s)did not get ready.*no_such_module"),
        running(Application(modules=["no_such_module"])),
    ):
        pass


def test_what_is_not_as_expected_makes_the_benchmark_void():
    with pytest.raises(BenchFailed, match="devices: 3, expected 4"):
        expect("devices", 3, 4)


def test_a_load_with_tokens_is_one_of_requests_that_need_them():
    bodies = list(Workload(total=2_000, batch=500).bodies())
    with running(tokens=True) as server:
        with pytest.raises(BenchFailed, match="401"):
            send(server.url, bodies, 1)
        assert send(server.url, bodies, 2, server.token).accepted == 2_000
        server.wait_drained()


def test_the_floor_of_a_load_does_what_the_program_must(tmp_path):
    log, store = open_log(tmp_path / "log", FakeClock(0)), open_state(tmp_path / "state", FakeClock(0))
    bodies = list(Workload(total=1_000, batch=500).bodies())
    floor = measure(bodies, log, store, 500, tmp_path)
    assert floor.points == 1_000
    log.close()
    store.close()
