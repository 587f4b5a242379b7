"""The examples in docstrings."""

import doctest
from types import ModuleType

import pytest

from dp3.config import hierarchy, schedules
from dp3.config import kinds as cron


@pytest.mark.parametrize("module", [cron, hierarchy, schedules])
def test_examples_in_docstrings_give_what_they_show(module: ModuleType) -> None:
    outcome = doctest.testmod(module)
    assert (outcome.attempted > 0, outcome.failed) == (True, 0)
