"""What filters mean is what a naive matcher, which shares nothing with the product, says."""

from typing import Any

from hypothesis import event, given, settings
from naive_matcher import found_by_text, matches
from queries_strategies import DOCUMENTS, FILTERS, FULLTEXTS

from dp3.reads.query.conditions import matcher
from kit.filters import condition


@settings(max_examples=1_000, deadline=None)
@given(DOCUMENTS, FILTERS)
def test_a_filter_holds_for_what_the_naive_matcher_finds(
    document: dict[str, Any], query: dict[str, Any]
) -> None:
    expected = matches(query, document)
    event(f"matches: {expected}")
    assert matcher(condition(query))(document) == expected


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS, FULLTEXTS)
def test_a_fulltext_filter_holds_for_what_the_naive_matcher_finds(
    document: dict[str, Any], fulltext: dict[str, str]
) -> None:
    expected = found_by_text(fulltext, document)
    event(f"matches: {expected}")
    assert matcher(condition(None, fulltext))(document) == expected
