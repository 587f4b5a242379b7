"""Backends of the log, and builders."""

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from dp3.clock import FakeClock
from dp3.log.port import Log
from dp3.log.postgres import open_log as open_postgres
from dp3.log.sqlite import open_log as open_sqlite
from kit.backends import server_url

OpenLog = Callable[..., Log]


BACKENDS = ("sqlite", "postgres")

_number = count()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A module may name the backends that it is about."""
    if "opened" in metafunc.fixturenames:
        metafunc.parametrize("opened", getattr(metafunc.module, "BACKENDS", BACKENDS), indirect=True)


@pytest.fixture
def opened(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[OpenLog]:
    """Opens the same log again at each call, as another process would; closed at the end of the test."""
    logs: list[Log] = []
    schema = f"log{os.getpid()}_{next(_number)}"

    def open_again(**limits: float) -> Log:
        if request.param == "sqlite":
            logs.append(open_sqlite(tmp_path, clock, **limits))  # type: ignore[arg-type]
        else:
            url = server_url()
            logs.append(open_postgres(url, schema, clock, **limits))  # type: ignore[arg-type]
        return logs[-1]

    yield open_again
    for log in logs:
        log.close()


@pytest.fixture(params=[{}, {"segment_bytes": 1}], ids=["one segment", "a segment per append"])
def limits(request: pytest.FixtureRequest) -> dict[str, float]:
    return dict(request.param)


@pytest.fixture
def log(opened: OpenLog, limits: dict[str, float]) -> Log:
    return opened(**limits)
