"""The runner of background work: turns, budget, retries, a full disk, waiting, the end."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest

from dp3.clock import FakeClock
from dp3.clock_watch import ClockWatch
from dp3.engine.jobs.job import NEVER, ONLY_IDLE, Job, JobRunner, Work
from dp3.store.ports.errors import LeaseLost, StoreFull
from kit.limits import Enter, constants

DISK_IS_FULL = StoreFull("no room")


class Scripted:
    """A job whose work is given by the test; it notes when it was asked."""

    name = "scripted"

    def __init__(
        self, work: Callable[[], Work], *, wake_at: int = NEVER, watches: bool = False, every: int = 1
    ) -> None:
        self.wake_at = wake_at
        self.watches = watches
        self.every = every
        self.asked: list[int] = []
        self.failures: list[int] = []
        self._work = work

    def begin(self, now: int, failures: int) -> Work | None:
        self.wake_at = NEVER
        self.asked.append(now)
        self.failures.append(failures)
        return self._work()


class Turns:
    """A runner that is given turns; `woken` counts how often the outbox was woken."""

    def __init__(self, *jobs: Job) -> None:
        self.clock = FakeClock(0)
        self.woken = 0
        self.runner = JobRunner(jobs, self.clock, ClockWatch(self.clock), self._wake)

    def _wake(self) -> None:
        self.woken += 1

    def give(self, version: int = 1, *, may_block: bool = True) -> bool:
        return self.runner.turn(version, may_block)


@pytest.fixture(autouse=True)
def short(enter: Enter) -> None:
    """A slice is one piece."""
    enter(constants("dp3.engine.jobs.job", SLICE_S=0.0))


def pieces(noted: list[str], *names: str) -> Iterator[None]:
    for name in names:
        noted.append(name)
        yield None


def nothing() -> Work:
    yield from ()


def test_a_job_is_asked_when_its_time_has_come_and_not_before() -> None:
    job = Scripted(nothing, wake_at=5_000_000)
    turns = Turns(job)
    assert not turns.give()
    turns.clock.advance(5)
    assert turns.give()
    assert job.asked == [5_000_000]
    assert not turns.give()


def test_a_job_that_watches_is_asked_once_for_every_change_of_the_state() -> None:
    watching, sleeping = Scripted(nothing, watches=True), Scripted(nothing)
    turns = Turns(watching, sleeping)
    for version in (1, 1, 1, 2, 2):
        turns.give(version)
    assert (len(watching.asked), sleeping.asked) == (2, [])


def test_a_change_while_it_works_is_not_missed() -> None:
    noted: list[str] = []
    job = Scripted(lambda: (yield from pieces(noted, "a", "b")), watches=True)
    turns = Turns(job)
    turns.give(1)
    turns.give(2)
    while turns.give(2):
        pass
    assert (len(job.asked), noted) == (2, ["a", "b", "a", "b"])


def test_jobs_take_turns_piece_by_piece() -> None:
    noted: list[str] = []
    one = Scripted(lambda: (yield from pieces(noted, "a1", "a2")), wake_at=0)
    other = Scripted(lambda: (yield from pieces(noted, "b1", "b2")), wake_at=0)
    turns = Turns(one, other)
    while turns.give():
        pass
    assert noted == ["a1", "b1", "a2", "b2"]


def test_a_job_may_leave_most_turns_to_a_busy_worker() -> None:
    seldom, idle = Scripted(nothing, wake_at=0, every=4), Scripted(nothing, wake_at=0, every=ONLY_IDLE)
    turns = Turns(seldom, idle)
    worked = [turns.give(may_block=False) for _ in range(8)]
    assert worked.index(True) == 3
    assert idle.asked == []
    turns.give(may_block=True)
    assert len(idle.asked) == 1


def test_work_that_fails_is_begun_again_after_longer_and_longer_pauses() -> None:
    def fail() -> Work:
        yield None
        raise ValueError("not today")

    job = Scripted(fail, wake_at=0)
    turns = Turns(job)
    for _ in range(80):
        turns.give()
        turns.give()
        turns.clock.advance(1)
    seconds = [us // 1_000_000 for us in job.asked]
    assert seconds == [0, 1, 3, 7, 15, 31, 63]
    assert job.failures == list(range(7))


def test_the_count_of_failures_begins_again_when_the_work_is_through() -> None:
    broken = [True]

    def sometimes() -> Work:
        if broken.pop() if broken else False:
            raise ValueError("not today")
        yield None

    job = Scripted(sometimes, watches=True)
    turns = Turns(job)
    for version in range(6):
        turns.give(version)
        turns.clock.advance(1)
    assert job.failures[:3] == [0, 1, 0]


def test_work_is_begun_again_when_there_is_room_on_the_disk() -> None:
    full = [True, True]

    def write() -> Work:
        if full:
            full.pop()
            raise DISK_IS_FULL
        yield None

    job = Scripted(write, wake_at=0)
    turns = Turns(job)
    for _ in range(2):
        turns.give()
        assert not turns.give(), "it waits"
        turns.clock.advance(1)
    turns.give()
    assert (len(job.asked), job.failures) == (3, [0, 0, 0])


def test_a_write_is_repeated_and_what_led_to_it_is_not() -> None:
    noted: list[str] = []
    full = [True, True]

    def write() -> None:
        noted.append("write")
        if full:
            full.pop()
            raise DISK_IS_FULL

    def work() -> Work:
        noted.append("hooks")
        yield write
        noted.append("end")

    job = Scripted(work, wake_at=0)
    turns = Turns(job)
    for _ in range(5):
        turns.give()
        turns.clock.advance(1)
    assert noted == ["hooks", "write", "write", "write", "end"]
    assert len(job.asked) == 1


def test_work_that_waits_for_another_thread_goes_on_when_that_is_done() -> None:
    awaited: Future[None] = Future()
    noted: list[str] = []

    def work() -> Work:
        yield awaited
        noted.append("done")

    turns = Turns(Scripted(work, wake_at=0))
    turns.give()
    assert not turns.give(may_block=False)
    assert turns.give(may_block=True), "waiting is something to do"
    assert (noted, turns.woken) == ([], 1)
    awaited.set_result(None)
    turns.give()
    assert (noted, turns.woken) == (["done"], 2)


@pytest.mark.parametrize("begins", [True, False])
def test_a_lost_lease_ends_the_worker(begins: bool) -> None:
    def lost() -> Work:
        if begins:
            raise LeaseLost("it is gone")
        return work()

    def work() -> Work:
        yield None
        raise LeaseLost("it is gone")

    turns = Turns(Scripted(lost, wake_at=0))
    with pytest.raises(LeaseLost):
        for _ in range(2):
            turns.give()


def test_work_that_is_given_up_can_leave_things_in_order() -> None:
    noted: list[str] = []

    def work() -> Work:
        try:
            yield None
            yield None
        finally:
            noted.append("closed")

    turns = Turns(Scripted(work, wake_at=0))
    turns.give()
    turns.runner.close()
    assert noted == ["closed"]
