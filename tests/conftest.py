"""What holds for all tests."""

import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, settings

from kit import program
from kit.backends import server_url
from kit.limits import Enter
from kit.rooms import ENGINE

# Programs are started hundreds of times: they find everything compiled.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A disk makes every commit wait; what is under test survives the end of processes, which memory does too.
IN_MEMORY, ENOUGH_BYTES = Path("/dev/shm"), 4 << 30
CAN_HOLD_ALL = os.access(IN_MEMORY, os.W_OK) and shutil.disk_usage(IN_MEMORY).free >= ENOUGH_BYTES
if CAN_HOLD_ALL and "TMPDIR" not in os.environ:
    tempfile.tempdir = os.environ["TMPDIR"] = str(IN_MEMORY)

# The same examples each time, so that a change is judged by what it changes; `make explore` tries others.
# Machines that are busy are slow.
settings.register_profile("repeatable", derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")

COVERAGE_VARIABLE = "COVERAGE_PROCESS_CONFIG"


LOOK_AFTER = 50_000
"""Objects made until the collector looks for cycles among them, as in the program."""


def pytest_collection_finish() -> None:
    """Called when all tests are known: thousands of them, and all modules, which the collector would look at
    again and again for nothing."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(LOOK_AFTER)


def pytest_configure(config: pytest.Config) -> None:
    """Called in the process that distributes tests, whose environment those that run them have, and in these:
    from then on coverage watches a program only if a test wants it, because that doubles what it computes."""
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        take_coverage_from_programs()
    if ENGINE == "postgres":
        os.environ["DP3_TEST_POSTGRES"] = server_url()  # one server for all that run tests


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Called when all tests are known, before they are distributed."""
    if ENGINE == "postgres":
        for item in items:
            if item.get_closest_marker("files"):
                item.add_marker(pytest.mark.skip(reason="only where log and state are files"))


def take_coverage_from_programs() -> None:
    if (found := os.environ.pop(COVERAGE_VARIABLE, None)) is not None:
        program.COVERAGE[COVERAGE_VARIABLE] = found


TRACED_S, SETUP_TRACED_S = 0.1, 1.0
"""Processor time after which coverage stops looking at a test, or at what is set up for the first one of a
file: it doubles the time, and hundreds of examples take the ways of the first ones."""

SET_UP = pytest.StashKey[set[Path]]()
"""The files of which this process has set up a test."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Called around all that is set up for a test, which is the same for most tests of a file: coverage looks
    at it once."""
    files = item.config.stash.setdefault(SET_UP, set())
    is_first = item.path not in files
    files.add(item.path)
    with traced_at_first(Coverage.current(), SETUP_TRACED_S if is_first else 0):
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    """Called around the call of each test, in the main thread of its process."""
    with traced_at_first(Coverage.current(), TRACED_S):
        yield


@contextmanager
def traced_at_first(coverage: Coverage | None, limit_s: float) -> Iterator[None]:
    """Measure coverage for `limit_s` of processor time, and then not until the block ends."""
    if coverage is None:
        yield
        return
    stopped = False

    def stop(_number: int = 0, _frame: object = None) -> None:
        nonlocal stopped
        stopped = True
        coverage.stop()

    before = signal.signal(signal.SIGPROF, stop)
    if limit_s:
        signal.setitimer(signal.ITIMER_PROF, limit_s)
    else:
        stop()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        if stopped:
            coverage.start()  # puts its variables into the environment again
            take_coverage_from_programs()


@pytest.fixture
def enter() -> Iterator[Enter]:
    """Keeps a limit or a fault of the kit until the end of the test."""
    with ExitStack() as stack:
        yield stack.enter_context
