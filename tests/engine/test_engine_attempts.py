"""A note of what was under way when a worker died leads its successors to the one task to blame."""

import pytest

from dp3.engine.ingest.attempts import DEATHS, FURTHER, Attempts
from dp3.log.port import Entry, Lane

MAIN, DERIVED, CONTROL = Lane.MAIN, Lane.DERIVED, 2


def entries(*offsets, lane=MAIN):
    return [Entry(lane, offset, 2 * offset, 0, {}) for offset in offsets]


def offsets(found):
    return [entry.offset for entry in found]


@pytest.fixture
def restart(tmp_path):
    """Attempts as a new process finds them; its predecessor ended by itself or from outside."""
    return lambda *, by_itself=True: Attempts(tmp_path / "run" / "attempt", by_itself=by_itself)


def die_in_task(attempts, offset, task, last=None):
    """The worker comes to a task of an entry that runs alone, and dies of it."""
    assert attempts.begin(MAIN, offset, last or offset)
    assert attempts.run_alone
    assert attempts.may_run(task)


def test_after_a_clean_stop_nothing_is_suspect(restart):
    attempts = restart()
    assert attempts.begin(MAIN, 1, 9)
    attempts.hooks_of(1, 9)
    attempts.close()
    attempts = restart()
    assert attempts.suspect is None
    assert offsets(attempts.together(MAIN, entries(1, 2))) == [1, 2]
    attempts.close()


def test_a_batch_that_ended_the_worker_twice_without_hooks_is_run_entry_by_entry(restart):
    for death in range(DEATHS):
        attempts = restart()
        assert attempts.suspect is None, death
        assert attempts.begin(MAIN, 1, 9)
        assert not attempts.run_alone
    attempts = restart()
    assert attempts.suspect == (MAIN, 9)
    assert offsets(attempts.together(MAIN, entries(1, 2))) == [1]
    assert offsets(attempts.together(MAIN, entries(9, 10))) == [9]
    assert offsets(attempts.together(MAIN, entries(10, 11))) == [10, 11]
    assert offsets(attempts.together(DERIVED, entries(1, 2, lane=DERIVED))) == [1, 2]


def test_the_entry_that_ended_the_worker_twice_alone_may_not_run(restart):
    for _ in range(DEATHS):
        restart().begin(MAIN, 1, 9)
    attempts = restart()
    assert attempts.begin(MAIN, 1, 1)
    assert attempts.begin(MAIN, 2, 2)
    attempts = restart()
    assert attempts.begin(MAIN, 2, 2)
    attempts = restart()
    assert not attempts.begin(MAIN, 2, 2)
    assert attempts.begin(MAIN, 3, 3)
    assert attempts.run_alone
    assert attempts.suspect == (MAIN, 9)


def test_entries_whose_hooks_ended_the_worker_once_are_run_alone_and_the_others_together(restart):
    attempts = restart()
    attempts.begin(MAIN, 1, 9)
    attempts.hooks_of(1, 3)
    attempts.hooks_of(4, 6)
    attempts = restart()
    assert offsets(attempts.together(MAIN, entries(*range(1, 10)))) == [1, 2, 3]
    assert attempts.begin(MAIN, 1, 3)
    assert not attempts.run_alone
    assert offsets(attempts.together(MAIN, entries(*range(4, 10)))) == [4]
    assert attempts.begin(MAIN, 4, 4)
    assert attempts.run_alone
    assert offsets(attempts.together(MAIN, entries(7, 8, 9))) == [7, 8, 9]
    assert attempts.begin(MAIN, 7, 9)
    assert attempts.suspect is None


def test_a_task_that_ended_the_worker_alone_must_not_run_and_the_others_of_its_entry_may(restart):
    restart().hooks_of(4, 6)
    die_in_task(restart(), 5, task=30)
    attempts = restart()
    assert attempts.begin(MAIN, 5, 5)
    assert [attempts.may_run(task) for task in (10, 20, 30, 40)] == [True, True, False, True]


def test_a_task_is_not_blamed_for_the_first_death_that_may_have_come_from_outside(restart):
    restart().hooks_of(5, 5)
    die_in_task(restart(by_itself=False), 5, task=30)
    die_in_task(restart(by_itself=False), 5, task=20)
    attempts = restart(by_itself=False)
    assert attempts.begin(MAIN, 5, 5)
    assert attempts.may_run(20)
    die_in_task(attempts, 5, task=30)
    attempts = restart(by_itself=False)
    attempts.begin(MAIN, 5, 5)
    assert [attempts.may_run(task) for task in (20, 30)] == [True, False]


def test_several_tasks_of_one_entry_are_found_one_death_each(restart):
    restart().hooks_of(5, 5)
    for killer in (1, 2, 7):
        die_in_task(restart(), 5, killer)
    attempts = restart()
    attempts.begin(MAIN, 5, 5)
    assert [task for task in range(9) if not attempts.may_run(task)] == [1, 2, 7]


def test_entries_soon_after_a_task_that_must_not_run_are_suspect_too(restart):
    restart().hooks_of(5, 5)
    die_in_task(restart(), 5, task=0)
    attempts = restart()
    attempts.begin(MAIN, 5, 5)
    assert not attempts.may_run(0)
    attempts.hooks_done()
    assert offsets(attempts.together(MAIN, entries(6, 7))) == [6]
    die_in_task(attempts, 6, task=0)
    attempts = restart()
    attempts.begin(MAIN, 6, 6)
    assert not attempts.may_run(0)
    assert attempts.suspect == (MAIN, 6 + FURTHER)


def test_a_task_that_has_ended_is_not_blamed_for_what_comes_after_it(restart):
    restart().hooks_of(5, 5)
    attempts = restart()
    attempts.begin(MAIN, 5, 5)
    attempts.may_run(3)
    attempts.hooks_done()
    attempts = restart()
    assert attempts.begin(MAIN, 5, 5)
    assert attempts.may_run(3)


def test_progress_clears_a_suspicion(restart):
    restart().begin(MAIN, 1, 9)
    attempts = restart()
    attempts.begin(MAIN, 10, 12)
    attempts = restart()
    attempts.begin(MAIN, 1, 9)
    assert restart().suspect is None


def test_what_was_suspect_is_forgotten_at_the_end_of_the_log(restart):
    restart().hooks_of(5, 5)
    attempts = restart()
    attempts.forget()
    assert attempts.begin(MAIN, 5, 5)
    assert not attempts.run_alone


def test_other_work_that_ended_the_worker_twice_may_not_begin_any_more(restart):
    for _ in range(DEATHS):
        assert restart().begin(CONTROL, 7, 7)
    attempts = restart()
    assert not attempts.begin(CONTROL, 7, 7)
    assert attempts.begin(CONTROL, 8, 8)
    assert attempts.begin(MAIN, 7, 7)


OLD = b'{"lane":0,"after":4,"until":5,"single":true,"deaths":1}'.ljust(128)
NEW = b'{"lane":0,"first":5,"last":5,"hooks":true}'


@pytest.mark.parametrize(
    "note", [b"", b"{", b"[]", b"\x00 not json", b'{"\xff": 1}', b"\0" * 9, OLD, NEW[:-3], b"[" * 10**5]
)
def test_a_note_that_is_damaged_or_of_another_version_accuses_nobody(tmp_path, note):
    (tmp_path / "attempt").write_bytes(note)
    attempts = Attempts(tmp_path / "attempt")
    assert attempts.suspect is None
    assert attempts.begin(MAIN, 5, 5)
    assert not attempts.run_alone


def test_a_note_that_is_shorter_than_what_was_in_the_file_is_read(tmp_path):
    (tmp_path / "attempt").write_bytes(b"x" * 500)
    Attempts(tmp_path / "attempt").hooks_of(5, 6)
    assert Attempts(tmp_path / "attempt").suspect == (MAIN, 6)
