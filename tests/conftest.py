"""What holds for all tests."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, settings

from kit.limits import Enter

# The same examples each time, so that a change is judged by what it changes; `make explore` tries others.
# Machines that are busy are slow.
settings.register_profile("repeatable", derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")


@pytest.fixture
def enter() -> Iterator[Enter]:
    """Keeps a limit or a fault of the kit until the end of the test."""
    with ExitStack() as stack:
        yield stack.enter_context
