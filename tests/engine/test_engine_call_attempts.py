"""A note of calls in background work leads the next workers to the one call to blame."""

import threading
from pathlib import Path
from typing import Protocol

import pytest

from dp3.engine.call_attempts import DEATHS, MOST_CALLS, CallAttempts


class Restart(Protocol):
    def __call__(self, *, by_itself: bool = True) -> CallAttempts: ...


@pytest.fixture
def restart(tmp_path: Path) -> Restart:
    """Attempts as a new process finds them; its predecessor ended by itself or from outside."""
    return lambda *, by_itself=True: CallAttempts(tmp_path / "calls", by_itself=by_itself)


DEAD: list[object] = []
"""Blocks that are never left."""


def die_at_work(attempts: CallAttempts) -> None:
    work = attempts.under_way()
    work.__enter__()
    DEAD.append(work)


def die_in(attempts: CallAttempts, call: str) -> None:
    die_at_work(attempts)
    assert attempts.begin(call)


def test_nothing_is_suspect_after_work_that_was_done_or_a_stop_in_order(restart: Restart) -> None:
    attempts = restart()
    with attempts.under_way():
        assert attempts.begin("a")
    assert not restart().suspects_any
    attempts = restart()
    die_at_work(attempts)
    attempts.close(clean=True)
    assert not restart().suspects_any


def test_a_call_that_ended_the_worker_is_found_at_the_second_death(restart: Restart) -> None:
    die_in(restart(), "a")
    careful = restart()
    assert careful.is_careful
    assert careful.begin("a"), "others were running beside it"
    careful.end()
    die_in(careful, "b")
    attempts = restart()
    assert (attempts.begin("a"), attempts.begin("b")) == (True, False)


def test_a_call_is_not_blamed_for_the_first_death_that_may_have_come_from_outside(restart: Restart) -> None:
    die_in(restart(), "a")
    for _ in range(DEATHS):
        die_in(restart(by_itself=False), "a")
    assert not restart(by_itself=False).begin("a")


def test_a_call_that_must_not_be_made_is_remembered_over_other_deaths(restart: Restart) -> None:
    for _ in range(2):
        die_in(restart(), "a")
    for _ in range(2):
        with restart().under_way():
            pass
    attempts = restart()
    assert not attempts.is_careful
    assert attempts.suspects_any
    assert not attempts.begin("a")


def test_while_the_worker_is_careful_one_hook_runs_at_a_time(restart: Restart) -> None:
    die_in(restart(), "a")
    attempts, running, most = restart(), [], []

    def call() -> None:
        with attempts.alone():
            running.append(1)
            most.append(len(running))
            running.pop()

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 8


def test_the_calls_that_are_remembered_are_bounded(restart: Restart) -> None:
    die_in(restart(), "a")
    attempts = restart()
    attempts._deaths.update((str(number), DEATHS) for number in range(MOST_CALLS + 5))
    die_in(attempts, "b")
    assert len(restart()._deaths) == MOST_CALLS


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"busy":1}', b'{"deaths":[1]}', b"\0" * 9])
def test_a_damaged_note_accuses_nobody(tmp_path: Path, note: bytes) -> None:
    (tmp_path / "calls").write_bytes(note)
    assert not CallAttempts(tmp_path / "calls").suspects_any
