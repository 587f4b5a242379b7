from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.program import App, application


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with application(tmp_path) as app:
        yield app
