"""Waiting for the lease of a worker that is still there."""

import os
import platform
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dp3.clock import FakeClock
from dp3.runtime.modules import WorkerIdentity
from dp3.runtime.worker import held_lease
from dp3.store.ports.errors import LeaseRefused
from dp3.store.ports.leases import Holder, Lease
from dp3.store.ports.state import State
from dp3.store.sqlite import open_state
from kit.limits import Enter, impatient_lease

IDENTITY = WorkerIdentity("app", 0, 1)


class Waits(threading.Event):
    """Does something instead of waiting."""

    def __init__(self, instead: Callable[[], object]) -> None:
        super().__init__()
        self._instead = instead

    def wait(self, timeout: float | None = None) -> bool:
        self._instead()
        return self.is_set()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[State]:
    store = open_state(tmp_path, FakeClock())
    yield store
    store.close()


@pytest.fixture
def holder(store: State) -> Lease:
    """The lease of a worker that lives: this process."""
    return store.leases.take(0, 1, Holder(platform.node(), os.getpid()), 15)


def test_a_supervised_worker_waits_for_its_predecessor_to_stop(
    store: State, holder: Lease, caplog: pytest.LogCaptureFixture
) -> None:
    stop = Waits(lambda: store.leases.release(holder))
    with held_lease(store, IDENTITY, stop, supervised=True) as lease:
        assert lease.epoch > holder.epoch
    assert store.leases.all() == []
    assert "waiting for its end" in caplog.text


def test_a_supervised_worker_does_not_wait_for_ever(store: State, holder: Lease, enter: Enter) -> None:
    stop = Waits(lambda: enter(impatient_lease()))
    with pytest.raises(LeaseRefused), held_lease(store, IDENTITY, stop, supervised=True):
        pass


def test_a_stop_ends_the_waiting(store: State, holder: Lease) -> None:
    stop = Waits(lambda: stop.set())
    with pytest.raises(LeaseRefused), held_lease(store, IDENTITY, stop, supervised=True):
        pass


def test_a_worker_that_is_started_by_hand_is_refused_at_once(store: State, holder: Lease) -> None:
    stop = Waits(lambda: pytest.fail("it waited"))
    with pytest.raises(LeaseRefused), held_lease(store, IDENTITY, stop, supervised=False):
        pass
