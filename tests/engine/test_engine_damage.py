"""A damaged file ends the worker, whichever of its threads comes upon it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dp3.clock import FakeClock
from dp3.clock_watch import ClockWatch
from dp3.engine.context import Damage
from dp3.engine.heartbeat import Heartbeat
from dp3.engine.ingest.outbox import OutboxDrainer
from dp3.engine.jobs.job import NEVER, JobRunner, Work
from dp3.files import DamagedFile
from dp3.hooks.watch import HookWatch
from dp3.store.ports.batches import Batch, OutboxRow
from dp3.store.ports.state import State
from kit.flips import flip, place_of
from kit.place import Place
from kit.program import wait_for
from kit.rows import take_lease


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path, 1_000_000)
    yield place
    place.close()


def noted(damage: Damage) -> DamagedFile | None:
    try:
        damage.check()
    except DamagedFile as error:
        return error
    return None


def damaged_state(place: Place, text: bytes) -> State:
    """The state again, with a byte of this text in it changed."""
    path = place.directory / "state" / "state.db"
    place.store.close()
    flip(path, place_of(path, text))
    place.reopen()
    return place.store


@pytest.mark.files
def test_the_thread_of_the_outbox(place: Place) -> None:
    lease, damage = take_lease(place.store), Damage()
    place.store.batches.commit(lease, Batch(outbox=[OutboxRow(0, 0, 1, 2, b"tasks of a hook" * 900)]))
    store = damaged_state(place, b"tasks of a hook")
    outbox = OutboxDrainer(place.log, store, lease, damage.note)
    outbox.start()
    error = wait_for("damage", lambda: noted(damage))
    assert "state.db: the file is damaged" in str(error)
    outbox.stop(10)


@pytest.mark.files
def test_the_heartbeat(place: Place) -> None:
    lease, damage = take_lease(place.store), Damage()
    place.store.leases.heartbeat(lease, "status to be found")
    store = damaged_state(place, b"status to be found")
    heartbeat = Heartbeat(
        store, lease, HookWatch(), place.directory / "run" / "sign", lambda: None, damage.note
    )
    heartbeat.start()
    error = wait_for("damage", lambda: noted(damage))
    assert "state.db: the file is damaged" in str(error)
    heartbeat.stop()


class Reading:
    """A job that reads something damaged."""

    name, watches, every = "reading", False, 1

    def __init__(self, *, at_once: bool) -> None:
        self.wake_at = 0
        self._at_once = at_once

    def begin(self, now: int, failures: int) -> Work:
        self.wake_at = NEVER
        if self._at_once:
            raise DamagedFile("state.db")
        return self._work()

    def _work(self) -> Work:
        yield None
        raise DamagedFile("state.db")


@pytest.mark.parametrize("at_once", [True, False])
def test_a_job(at_once: bool) -> None:
    runner = JobRunner([Reading(at_once=at_once)], FakeClock(0), ClockWatch(FakeClock(0)), lambda: None)
    with pytest.raises(DamagedFile):
        runner.turn(1, may_block=False)
    runner.close()
