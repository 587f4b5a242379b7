"""Stopping by signal."""

import subprocess
import sys

PROGRAM = """
import os, signal, threading
from dp3.runtime.signals import on_stop_signal

stop = threading.Event()
on_stop_signal(stop.set)
with stop._cond:  # what the main thread holds for a moment whenever it begins to wait
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(1000):
        pass
raise SystemExit(0 if stop.wait(5) else 1)
"""


def test_a_stop_signal_may_come_while_the_main_thread_holds_the_lock_that_stopping_needs() -> None:
    assert subprocess.run([sys.executable, "-c", PROGRAM], timeout=10).returncode == 0
