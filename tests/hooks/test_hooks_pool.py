"""Rules of the pool of daemon threads."""

import subprocess
import sys
import threading

import pytest

from dp3.hooks.pool import DaemonPool


def test_results_and_exceptions_reach_the_caller() -> None:
    pool = DaemonPool(2, "test")
    assert pool.submit(divmod, 7, 2).result() == (3, 1)
    with pytest.raises(ZeroDivisionError):
        pool.submit(divmod, 1, 0).result()
    pool.shutdown()


def test_no_more_threads_than_allowed_are_used() -> None:
    pool = DaemonPool(2, "test")
    names = {pool.submit(lambda: threading.current_thread().name).result() for _ in range(20)}
    assert names <= {"test-0", "test-1"}
    pool.shutdown()


def test_shutdown_finishes_what_was_submitted_and_takes_no_more() -> None:
    pool = DaemonPool(1, "test")
    futures = [pool.submit(int, str(n)) for n in range(5)]
    pool.shutdown(wait=True)
    assert [future.result(timeout=0) for future in futures] == [0, 1, 2, 3, 4]
    with pytest.raises(RuntimeError, match="Pool test is shut down"):
        pool.submit(int)


def test_work_that_was_cancelled_before_its_turn_is_left_out_and_nothing_else() -> None:
    pool = DaemonPool(1, "test")
    gate = threading.Event()
    first = pool.submit(gate.wait, 10)
    cancelled = pool.submit(int, "1")
    assert cancelled.cancel()
    gate.set()
    assert pool.submit(int, "2").result(10) == 2
    assert first.result(10)
    pool.shutdown()


def test_hanging_work_does_not_keep_the_interpreter_alive() -> None:
    code = (
        "import threading; from dp3.hooks.pool import DaemonPool\n"
        "started = threading.Event()\n"
        "def hang(): started.set(); threading.Event().wait()\n"
        "DaemonPool(1, 'test').submit(hang); started.wait(10)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=30).returncode == 0
