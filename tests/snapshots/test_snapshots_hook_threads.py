"""Threads that process units, and how many at a time."""

import threading
from collections.abc import Callable
from concurrent.futures import wait

from dp3.engine.jobs.snapshots.correlate import Unit, UnitResult
from dp3.engine.jobs.thread_pool import HookThreads
from dp3.hooks.pool import DaemonPool

UNIT: Unit = []
UNITS = 8


def driven(pool: HookThreads, process: Callable[[Unit], UnitResult], units: int = UNITS) -> UnitResult:
    """Have the threads driven as the worker does, with very short slices."""
    result = UnitResult()
    for awaited in pool.process([UNIT] * units, process, result):
        if awaited is not None:
            wait((awaited,), 0.01)
    return result


def some_threads(threads: int = 4) -> HookThreads:
    return HookThreads(DaemonPool(threads, "hooks"), threads)


def computing(threads: list[threading.Thread]) -> Callable[[Unit], UnitResult]:
    def process(unit: Unit) -> UnitResult:
        threads.append(threading.current_thread())
        sum(range(20_000))
        return UnitResult(failed=[1])

    return process


def test_what_all_units_made_is_put_together() -> None:
    assert driven(some_threads(), lambda unit: UnitResult(failed=[1])).failed == [1] * UNITS


def test_hooks_that_wait_run_side_by_side() -> None:
    together = threading.Barrier(4)

    def process(unit: Unit) -> UnitResult:
        together.wait(20)
        return UnitResult()

    driven(some_threads(threads=4), process)


def test_no_more_threads_are_taken_than_allowed() -> None:
    running, most, lock = 0, 0, threading.Lock()
    pause = threading.Event()

    def process(unit: Unit) -> UnitResult:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        pause.wait(0.03)
        with lock:
            running -= 1
        return UnitResult()

    driven(some_threads(threads=2), process)
    assert most == 2


def test_hooks_that_only_compute_soon_run_in_the_calling_thread() -> None:
    pool, threads = some_threads(), list[threading.Thread]()
    while threading.current_thread() not in threads:
        driven(pool, computing(threads))


def test_the_first_units_never_run_in_the_calling_thread() -> None:
    threads = list[threading.Thread]()
    driven(some_threads(), computing(threads))
    assert threading.current_thread() not in threads


def test_nothing_is_done_for_no_units() -> None:
    done = driven(some_threads(), computing([]), units=0)
    assert (done.snapshots, done.without, done.failed) == ([], [], [])
    assert (done.effects.tasks, done.effects.errors, done.effects.hooks.sums) == ([], 0, {})
