"""Examples in docstrings are true."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize("module", ["dp3.hooks.errors", "dp3.hooks.registration", "dp3.common.utils"])
def test_examples_in_docstrings_run(module: str) -> None:
    results = doctest.testmod(importlib.import_module(module))
    assert results.attempted > 0
    assert results.failed == 0
