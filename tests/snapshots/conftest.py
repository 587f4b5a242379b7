"""Applications whose workers the test steps."""

from collections.abc import Iterator

import pytest
from workers_kit import Cluster, a_cluster


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with a_cluster() as one:
        yield one


@pytest.fixture
def pair() -> Iterator[Cluster]:
    with a_cluster(processes=2) as two:
        yield two
