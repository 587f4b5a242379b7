"""Several processes on one state."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dp3.clock import SystemClock
from dp3.model.wire import decode_value
from dp3.store.ports.errors import LeaseRefused
from dp3.store.ports.state import State
from dp3.store.sqlite import open_state
from kit.child import start
from kit.rows import take_lease
from kit.state_child import COMMITS


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    store = open_state(tmp_path, SystemClock(), partitions=4)
    yield store
    store.close()


@contextmanager
def child(mode: str, directory: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A worker process and the first line it says."""
    with start("kit.state_child", mode, directory) as process:
        assert process.stdout
        yield process, process.stdout.readline().strip()


def test_an_index_is_refused_while_another_process_has_it_and_free_when_that_is_killed(
    state: State, tmp_path: Path
) -> None:
    with child("hold", tmp_path) as (process, epoch):
        with pytest.raises(LeaseRefused, match=f"process {process.pid} on"):
            take_lease(state)
        os.kill(process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert take_lease(state).epoch > int(epoch)


def test_readers_always_see_a_whole_commit(state: State, tmp_path: Path) -> None:
    seen: list[int] = []
    with child("write", tmp_path) as (process, _):
        while process.poll() is None:
            numbers = numbers_of(state)
            assert (
                len(numbers)
                == len({offset for _, lane, offset in state.batches.positions() if lane == 0})
                == 1
            )
            seen += numbers
    assert process.returncode == 0
    assert seen == sorted(seen)
    assert numbers_of(state) == {COMMITS}


def numbers_of(store: State) -> set[int]:
    """The values of both attributes; {0} before they have any."""
    profile = store.entities.profile("device", "d1")
    assert profile is not None
    return {decode_value(row.v) for row in profile.plain} or {0}


def test_a_version_changes_when_another_process_commits(state: State, tmp_path: Path) -> None:
    before = state.changes.version()
    with child("hold", tmp_path):
        assert state.changes.version() != before
