"""Every test of the contract runs over every backend, if its module does not name some (`BACKENDS`)."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dp3.clock import FakeClock
from dp3.store.ports.leases import Lease
from dp3.store.ports.state import State
from kit.backends import Backend, PostgresBackend, SqliteBackend
from kit.limits import long_removals
from kit.rows import take_lease

BACKENDS = ("sqlite", "postgres")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A module may name the backends that it is about."""
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", getattr(metafunc.module, "BACKENDS", BACKENDS), indirect=True)


@pytest.fixture(autouse=True)
def _unhurried() -> Iterator[None]:
    with long_removals():
        yield


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def backend(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Backend:
    if request.param == "sqlite":
        return SqliteBackend(tmp_path, clock)
    return PostgresBackend(clock)


BUSY_S = 60.0
"""A question may take so long on a busy machine."""


@pytest.fixture
def open_state(backend: Backend) -> Iterator[Callable[..., State]]:
    """Opens the state of this test, as often as wanted, as another process would."""
    opened: list[State] = []

    def open_again(**options: Any) -> State:
        opened.append(backend.open(**{"query_limit_s": BUSY_S, **options}))
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
