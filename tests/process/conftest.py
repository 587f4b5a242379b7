from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.program import App, application


@pytest.fixture
def app(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[App]:
    with application(tmp_path, traced=request.node.get_closest_marker("traced") is not None) as app:
        yield app
