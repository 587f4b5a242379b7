"""Applications whose workers the test steps."""

from collections.abc import Iterator

import pytest

from kit.engine import Engine, an_engine


@pytest.fixture
def cluster() -> Iterator[Engine]:
    with an_engine() as one:
        yield one


@pytest.fixture
def pair() -> Iterator[Engine]:
    with an_engine(processes=2) as two:
        yield two
