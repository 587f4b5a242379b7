from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.engine import Engine


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path)
    yield engine
    engine.close()
