"""The limits on the page about filters are those that hold."""

import pytest
from doc_pages import page

from dp3.engine.jobs.snapshots.keys import MAX_TEXT
from dp3.reads.query.parsing import MAX_CONDITIONS, MAX_DEPTH, MAX_VALUES

TEXT = " ".join(page("queries.md").split())


@pytest.mark.parametrize(
    "sentence",
    [
        f"levels of nesting, conditions, values in a list | {MAX_DEPTH}, {MAX_CONDITIONS}, {MAX_VALUES:_} |",
        f"Texts of more than {MAX_TEXT} characters are not in the index",
    ],
)
def test_documented_limits_are_those_that_hold(sentence: str) -> None:
    assert sentence.replace("_", " ") in TEXT
