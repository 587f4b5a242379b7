"""A supervisor waits before it starts a child again, and tells it of its predecessor."""

import threading
from pathlib import Path

import pytest

from dp3.clock import FakeClock
from dp3.runtime.resources import DataDir
from dp3.runtime.supervisor import BACK_OFF_S, CONFIGURATION_STATUS, Child, Supervisor, WorkerHealth
from dp3.store.sqlite import open_state
from kit.program import wait_for

SAYS = 'echo "${DP3_FAILED_BY_ITSELF:-0}" >> said; n=$(wc -l < said);'
NARROWS = """echo '{"lane":0,"first":5,"last":5,"single":true,"task":'$n'}' > attempt;"""
STARTS = 4


class Watched:
    """A supervisor with one child, a shell that does this in a directory of its own."""

    def __init__(self, directory: Path, script: str) -> None:
        self._directory = directory
        command = ["sh", "-c", f"cd {directory}; {SAYS} {script}"]
        self.child = Child("worker 0", command, attempt=directory / "attempt")
        self._stop = threading.Event()
        self.status: int | None = None

    def run(self, starts: int) -> list[str]:
        """Supervise until so many were started; what each was told of the one before."""
        data = DataDir(self._directory)
        store = open_state(data.state, FakeClock())
        health = WorkerHealth(store.leases.all, data, hang_s=60, start_limit_s=600)
        thread = threading.Thread(target=self._supervise, args=(health,))
        thread.start()
        wait_for("starts", lambda: len(self.said) >= starts or not thread.is_alive())
        wait_for("end of the last one", lambda: not self.child.running)
        self._stop.set()
        thread.join()
        store.close()
        return self.said

    @property
    def said(self) -> list[str]:
        file = self._directory / "said"
        return file.read_text().split() if file.exists() else []

    def _supervise(self, health: WorkerHealth) -> None:
        self.status = Supervisor([self.child], health).run(self._stop)


def test_pauses_grow_while_a_child_ends_without_coming_to_hooks(tmp_path: Path) -> None:
    watched = Watched(tmp_path, "exit 3")
    assert watched.run(3) == ["0", "1", "1"]
    assert watched.child.failures >= 2


def test_pauses_do_not_grow_while_every_death_narrows_down_its_cause(tmp_path: Path) -> None:
    watched = Watched(tmp_path, f"{NARROWS} exit 3")
    watched.run(STARTS)
    assert watched.child.failures == 1
    assert BACK_OFF_S[watched.child.failures - 1] < 1


def test_pauses_grow_although_the_note_names_hooks_if_it_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "attempt").write_text('{"lane":0,"first":5,"last":5,"hooks":true}\n')
    watched = Watched(tmp_path, "exit 3")
    watched.run(3)
    assert watched.child.failures >= 2


@pytest.mark.parametrize(
    ("end", "told"), [("exit 3", "1"), ("kill -SEGV $$", "1"), ("kill -KILL $$", "0"), ("kill -TERM $$", "0")]
)
def test_a_child_is_told_whether_the_one_before_was_ended_from_outside(
    tmp_path: Path, end: str, told: str
) -> None:
    assert Watched(tmp_path, f"{NARROWS} {end}").run(2)[:2] == ["0", told]


def test_a_mistake_in_the_configuration_ends_the_program(tmp_path: Path) -> None:
    watched = Watched(tmp_path, f"exit {CONFIGURATION_STATUS}")
    assert watched.run(2) == ["0"]
    assert watched.status == CONFIGURATION_STATUS


def test_a_hook_that_ends_with_the_status_of_such_a_mistake_does_not(tmp_path: Path) -> None:
    watched = Watched(tmp_path, f"{NARROWS} exit {CONFIGURATION_STATUS}")
    assert watched.run(3)[:3] == ["0", "1", "1"]
    assert watched.status == 0
