"""Every test of the contract runs over every backend."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dp3.clock import FakeClock
from dp3.store.ports.leases import Lease
from dp3.store.ports.state import State
from dp3.store.sqlite import open_state
from kit.rows import take_lease

BACKENDS = {"sqlite": open_state}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=BACKENDS)
def open_state(
    request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock
) -> Iterator[Callable[..., State]]:
    """Opens the state of this test, as often as wanted, as another process would."""
    opened: list[State] = []

    def open_again(**options: Any) -> State:
        opened.append(BACKENDS[request.param](tmp_path, clock, **options))
        return opened[-1]

    yield open_again
    for store in opened:
        store.close()


@pytest.fixture
def store(open_state: Callable[..., State]) -> State:
    return open_state()


@pytest.fixture
def lease(store: State) -> Lease:
    return take_lease(store)
