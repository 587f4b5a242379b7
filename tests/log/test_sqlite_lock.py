"""The fair lock, with real processes and threads."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dp3.sqlite import FairLock

HOLD_S = 0.005

GREEDY = """
import sys, time
from pathlib import Path
from dp3.sqlite import FairLock
lock = FairLock(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    with lock.held():
        time.sleep(float(sys.argv[2]))
"""


def greedy_process(path: Path, hold_s: float) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", GREEDY, str(path), str(hold_s)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_process_that_takes_the_lock_in_a_loop_cannot_starve_another(tmp_path: Path) -> None:
    greedy = greedy_process(tmp_path / "lock", HOLD_S)
    lock = FairLock(tmp_path / "lock")
    waits = []
    for _ in range(40):
        before = time.monotonic()
        with lock.held():
            waits.append(time.monotonic() - before)
    end(greedy)
    lock.close()
    assert sorted(waits)[len(waits) // 2] < 5 * HOLD_S
    assert max(waits) < 100 * HOLD_S


def test_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    holder = greedy_process(tmp_path / "lock", 60)
    end(holder)
    lock = FairLock(tmp_path / "lock")
    with lock.held():
        pass
    lock.close()


def test_threads_get_the_lock_in_order_of_arrival(tmp_path: Path) -> None:
    lock = FairLock(tmp_path / "lock")
    served: list[int] = []

    def take(number: int) -> None:
        with lock.held():
            served.append(number)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
    with lock.held():
        for number, thread in enumerate(threads):
            thread.start()
            while len(lock._queue._waiting) <= number:
                time.sleep(0.0001)
    for thread in threads:
        thread.join()
    lock.close()
    assert served == list(range(8))


def test_two_locks_of_one_path_exclude_each_other_within_a_process(tmp_path: Path) -> None:
    counter = {"inside": 0, "most": 0}

    def work() -> None:
        lock = FairLock(tmp_path / "lock")
        for _ in range(50):
            with lock.held():
                counter["inside"] += 1
                counter["most"] = max(counter["most"], counter["inside"])
                counter["inside"] -= 1
        lock.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter == {"inside": 0, "most": 1}


def test_taking_the_lock_again_in_the_same_thread_is_refused(tmp_path: Path) -> None:
    lock = FairLock(tmp_path / "lock")
    with lock.held(), pytest.raises(RuntimeError, match="not re-entrant"), lock.held():
        pass
    lock.close()


def test_lock_is_free_after_an_error_inside(tmp_path: Path) -> None:
    lock = FairLock(tmp_path / "lock")
    with pytest.raises(ZeroDivisionError), lock.held():
        _ = 1 / 0
    with lock.held():
        pass
    lock.close()
