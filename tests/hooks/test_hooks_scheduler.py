"""Rules of the scheduler; callbacks signal when they ran, so nothing waits for time to pass."""

import logging
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from threading import Semaphore
from typing import Any

import pytest

from dp3.hooks.registrar import CallbackRegistrar
from dp3.hooks.scheduler import Scheduler

WAIT_S = 10


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    scheduler = Scheduler()
    yield scheduler
    scheduler.stop()


def test_cron_callback_gets_its_arguments(scheduler: Scheduler) -> None:
    called = threading.Event()
    got: list[object] = []

    def callback(*args: object, **kwargs: object) -> None:
        got[:] = [args, kwargs]
        called.set()

    scheduler.register(callback, func_args=[1], func_kwargs={"a": 2}, second="*")
    scheduler.start()
    assert called.wait(WAIT_S)
    assert got == [(1,), {"a": 2}]


def test_jobs_are_numbered_from_one(scheduler: Scheduler) -> None:
    assert [scheduler.register(print, minute=0), scheduler.register(print, hour=1)] == [1, 2]


@pytest.mark.parametrize("field", [{"minute": 60}, {"minit": 1}, {"hour": "x"}])
def test_bad_field_is_refused(scheduler: Scheduler, field: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(field))):
        scheduler.register(print, **field)


def test_registrations_of_modules_run_and_one_failing_stays_scheduled(
    scheduler: Scheduler, registrar: CallbackRegistrar, caplog: pytest.LogCaptureFixture
) -> None:
    failed_twice, once = threading.Semaphore(0), threading.Event()

    def failing() -> None:
        failed_twice.release()
        raise ValueError("broken callback")

    registrar.scheduler_register(failing, second="*")
    registrar.scheduler_register_once(once.set)
    registrar.register_snapshot_init_hook(failing)
    scheduler.add(registrar.registrations)
    with caplog.at_level(logging.WARNING):
        scheduler.start()
        assert once.wait(WAIT_S)
        assert failed_twice.acquire(timeout=WAIT_S) and failed_twice.acquire(timeout=WAIT_S)
        scheduler.stop()
    assert "Scheduled callback sample: test_hooks_scheduler." in caplog.text
    assert "ValueError: broken callback" in caplog.text


def test_stop_waits_for_running_callbacks(registrar: CallbackRegistrar) -> None:
    scheduler = Scheduler()
    started, may_end = threading.Event(), threading.Event()
    ended: list[bool] = []

    def callback() -> None:
        started.set()
        ended.append(may_end.wait(WAIT_S))

    registrar.scheduler_register_once(callback)
    scheduler.add(registrar.registrations)
    scheduler.start()
    assert started.wait(WAIT_S)
    threading.Timer(0.05, may_end.set).start()
    assert scheduler.stop(timeout_s=WAIT_S) == []
    assert ended == [True]


def test_stop_gives_up_on_a_callback_that_hangs(registrar: CallbackRegistrar) -> None:
    scheduler = Scheduler()
    started, may_end = threading.Event(), threading.Event()

    def hanging() -> None:
        started.set()
        may_end.wait(WAIT_S)

    registrar.scheduler_register_once(hanging)
    scheduler.add(registrar.registrations)
    scheduler.start()
    assert started.wait(WAIT_S)
    (name,) = scheduler.stop(timeout_s=0)
    assert "hanging" in name
    may_end.set()


def test_stopping_one_that_never_started_does_nothing() -> None:
    assert Scheduler().stop() == []


def test_a_module_may_have_something_called_once_with_arguments(scheduler: Scheduler) -> None:
    got: SimpleQueue[object] = SimpleQueue()
    assert scheduler.register_once(got.put, ["now"]) == 1
    assert scheduler.register_once(got.put, func_args=["also"], misfire_grace_time=None) == 2
    scheduler.start()
    assert {got.get(timeout=WAIT_S), got.get(timeout=WAIT_S)} == {"now", "also"}


@pytest.mark.parametrize("wrong", [{"func": None}, {"func": print, "misfire_grace_time": 0}, {"func": len}])
def test_mistakes_in_what_is_called_once_are_found_at_once(
    scheduler: Scheduler, wrong: dict[str, Any]
) -> None:
    with pytest.raises(ValueError):
        scheduler.register_once(**wrong)


@pytest.mark.parametrize("running", [False, True])
def test_a_paused_job_is_not_called_until_it_is_resumed(scheduler: Scheduler, running: bool) -> None:
    paused, other = Semaphore(0), Semaphore(0)
    if running:
        scheduler.start()
    number = scheduler.register(paused.release, second="*", misfire_grace_time=None)
    scheduler.pause_job(number)
    scheduler.register(other.release, second="*", misfire_grace_time=None)
    if not running:
        scheduler.start()
    assert other.acquire(timeout=WAIT_S) and other.acquire(timeout=WAIT_S)
    assert not paused.acquire(blocking=False)
    scheduler.resume_job(number)
    assert paused.acquire(timeout=WAIT_S)


def test_a_job_of_a_module_can_be_paused_by_the_number_that_the_registrar_gave(
    scheduler: Scheduler, registrar: CallbackRegistrar
) -> None:
    called = Semaphore(0)
    number = registrar.scheduler_register(called.release, second="*", misfire_grace_time=60)
    scheduler.add(registrar.registrations)
    scheduler.pause_job(number)
    scheduler.start()
    scheduler.resume_job(number)
    assert called.acquire(timeout=WAIT_S)


@pytest.mark.parametrize("method", ["pause_job", "resume_job"])
def test_a_job_that_there_is_not_is_named(scheduler: Scheduler, method: str) -> None:
    with pytest.raises(KeyError, match="no job 7"):
        getattr(scheduler, method)(7)


def test_a_callback_that_never_fires_is_told_when_it_is_registered(
    scheduler: Scheduler, registrar: CallbackRegistrar, caplog: pytest.LogCaptureFixture
) -> None:
    registrar.scheduler_register(print, month=2, day=31)
    registrar.scheduler_register(print, day="last")
    registrar.scheduler_register_once(len, func_args=[[]])
    scheduler.add(registrar.registrations)
    scheduler.register(print, year=2020)
    told = [record.getMessage() for record in caplog.records]
    assert [line.partition(": this schedule ")[2] for line in told] == [
        "never fires: no moment has month 2, day 31",
        "never fires: no moment has year 2020",
    ]
    assert "sample: builtins.print" in told[0]
