"""Rules of the scheduler; callbacks signal when they ran, so nothing waits for time to pass."""

import logging
import threading
from collections.abc import Iterator

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
