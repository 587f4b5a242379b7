"""When the supervisor takes a worker for sick."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident
from typing import Any

import psutil
import pytest

from dp3.clock import FakeClock
from dp3.engine.heartbeat import MOST_REPORTED, STARTING, WORKING, Heartbeat
from dp3.hooks.table import Hook
from dp3.hooks.watch import HookWatch
from dp3.runtime.resources import DataDir
from dp3.runtime.supervisor import COMPUTING_S, SILENT_LOOKS, WorkerHealth
from dp3.store.ports.errors import StoreFull
from dp3.store.ports.leases import Holder, Lease, LeaseState
from dp3.store.ports.state import State
from dp3.store.sqlite import open_state
from kit.faults import heartbeats
from kit.rows import created, history_row

PID = 77


class Workplace:
    """A worker that says something of itself when it is told to, and who watches it."""

    def __init__(self, directory: Path) -> None:
        self.data = DataDir(directory)
        self.clock = FakeClock()
        self.store: State = open_state(self.data.state, self.clock)
        self.lease: Lease = self.store.leases.take(0, 1, Holder("host", PID), 15)
        self.health = WorkerHealth(self.store.leases.all, self.data, hang_s=60, start_limit_s=600)

    def look(self, times: int = 1, age_s: float = 60) -> str:
        for _ in range(times):
            self.health.look()
        return self.health.complaint(PID, age_s)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workplace]:
    place = Workplace(tmp_path)
    yield place
    place.store.close()


def test_a_worker_without_a_new_heartbeat_at_many_looks_is_sick(place: Workplace) -> None:
    place.store.leases.heartbeat(place.lease, WORKING)
    assert place.look(SILENT_LOOKS) == ""
    assert "no sign of life" in place.look()


@contextmanager
def computing() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing but compute."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        yield process
        process.kill()


def look_while_it_computes(health: WorkerHealth, process: psutil.Process) -> None:
    """Look when the process has used more of a processor."""
    before = process.cpu_times().user
    health.look()
    while process.cpu_times().user - before < 2 * COMPUTING_S:
        time.sleep(COMPUTING_S / 10)


def test_a_silent_worker_that_computes_is_sick_only_after_the_time_that_a_hook_may_take(
    tmp_path: Path,
) -> None:
    with computing() as process:
        leases = [LeaseState(Lease(0, 1, 5), Holder("host", process.pid), 0, WORKING)]
        health = WorkerHealth(lambda: leases, DataDir(tmp_path), hang_s=24, start_limit_s=600)
        for _ in range(SILENT_LOOKS + 2):
            look_while_it_computes(health, psutil.Process(process.pid))
        assert health.complaint(process.pid, 60) == ""
        for _ in range(3):
            look_while_it_computes(health, psutil.Process(process.pid))
        assert health.complaint(process.pid, 60) == "no sign of life for 24 s"


def test_a_new_heartbeat_heals(place: Workplace) -> None:
    place.look(SILENT_LOOKS)
    place.clock.advance(1)
    place.store.leases.heartbeat(place.lease, WORKING)
    assert place.look(SILENT_LOOKS) == ""


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_is_set_makes_no_worker_sick(place: Workplace, hours: int) -> None:
    place.store.leases.heartbeat(place.lease, WORKING)
    place.look()
    place.clock.advance(hours * 3600)
    assert place.look() == ""


def test_a_worker_whose_heartbeat_the_disk_refuses_lives_by_the_time_of_its_file(place: Workplace) -> None:
    def refuse(write: Any, lease: Lease, status: str, numbers: Mapping[str, float]) -> None:
        raise StoreFull("no space left")

    sign = place.data.sign_of_life(0)
    heartbeat = Heartbeat(place.store, place.lease, HookWatch(), sign, on_lost=lambda: None, on_damage=print)
    heartbeat.start()
    heartbeat.working()
    with heartbeats(place.store, refuse):
        for moment in range(2 * SILENT_LOOKS):
            os.utime(sign, (moment, moment))
            heartbeat.beat()
            assert sign.stat().st_mtime > moment
            os.utime(sign, (moment, moment))
            assert place.look() == ""
    heartbeat.stop()
    sign.unlink()


def test_what_a_worker_says_of_itself_is_its_complaint(place: Workplace) -> None:
    place.store.leases.heartbeat(place.lease, "hook m.f has not returned for 61 s")
    assert place.look() == "hook m.f has not returned for 61 s"


def test_a_worker_may_start_slowly_but_not_for_ever(place: Workplace) -> None:
    place.store.leases.heartbeat(place.lease, STARTING)
    assert place.look(age_s=599) == ""
    assert place.look(age_s=601) == "does not work 601 s after its start"


def test_a_worker_that_waits_for_its_lease_is_starting(place: Workplace) -> None:
    place.store.leases.release(place.lease)
    assert place.look(age_s=599) == ""
    assert "after its start" in place.look(age_s=601)


def test_a_worker_is_judged_by_its_own_lease_only(place: Workplace) -> None:
    leases = [LeaseState(Lease(1, 2, 5), Holder("host", PID + 1), 0, "sick")]
    health = WorkerHealth(lambda: leases, place.data, hang_s=60, start_limit_s=600)
    health.look()
    assert health.complaint(PID, 1) == ""
    assert health.complaint(PID + 1, 1) == "sick"


def test_slow_hooks_are_told_once_and_not_all_when_there_are_very_many(
    place: Workplace, caplog: pytest.LogCaptureFixture
) -> None:
    watch = HookWatch(hook_timeout_s=0)
    hook = Hook(lambda: None, "m", "f", "on_new_attr", "on_new_plain")
    heartbeat = Heartbeat(
        place.store, place.lease, watch, place.data.sign_of_life(0), on_lost=lambda: None, on_damage=print
    )
    for number in range(MOST_REPORTED + 3):
        watch.note_slow(hook, ("site", number), 1_500_000_000)
    heartbeat.beat()
    heartbeat.beat()
    assert len(caplog.messages) == MOST_REPORTED + 1
    assert caplog.messages[0] == "hook m.f for site/0 took 1.5 s, more than hook_timeout (0 s)"
    assert caplog.messages[-1] == "3 more hooks took longer than hook_timeout (0 s)"
    ((_, _, numbers),) = place.store.leases.reports()
    assert numbers["slow_hooks"] == MOST_REPORTED + 3


def test_a_worker_says_how_much_history_it_has_read(place: Workplace) -> None:
    heartbeat = Heartbeat(
        place.store, place.lease, HookWatch(), place.data.sign_of_life(0), on_lost=print, on_damage=print
    )
    rows = [history_row(place.store, 1, "load", 0.5, offset=offset) for offset in range(3)]
    created(place.store, place.lease, history=rows)
    place.store.entities.profile("device", "d1")
    heartbeat.beat()
    ((_, _, numbers),) = place.store.leases.reports()
    assert numbers["history_read"] == 3


def test_each_slow_call_is_told_though_they_run_in_one_thread(
    place: Workplace, caplog: pytest.LogCaptureFixture
) -> None:
    watch = HookWatch(hook_timeout_s=0)
    hook = Hook(lambda: None, "m", "f", "on_new_attr", "on_new_plain")
    heartbeat = Heartbeat(
        place.store, place.lease, watch, place.data.sign_of_life(0), on_lost=lambda: None, on_damage=print
    )
    for number in (1, 2):
        watch.slots[get_ident()] = (hook, ("site", number), number)
        heartbeat.beat()
        heartbeat.beat()
    told = [message.split(" has been")[0] for message in caplog.messages]
    assert told == ["hook m.f for site/1", "hook m.f for site/2"]
