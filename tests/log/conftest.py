"""Backends of the log, and builders."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dp3.clock import FakeClock
from dp3.log.port import Log
from dp3.log.sqlite import open_log

OpenLog = Callable[..., Log]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["sqlite"])
def opened(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[OpenLog]:
    """Opens the same log again at each call, as another process would; closed at the end of the test."""
    logs: list[Log] = []

    def open_again(**limits: float) -> Log:
        logs.append(open_log(tmp_path, clock, **limits))  # type: ignore[arg-type]
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
