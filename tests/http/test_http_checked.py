"""Filters for which the index is not enough: some documents are checked, and only those that have to be."""

from typing import Any

import pytest

from dp3.reads.listings import Window
from dp3.reads.query.conditions import Check, Condition, matcher
from kit.http_runs import make_run
from kit.node import Node, dp

EVERY = Window(limit=0)


def ids(found: Any) -> list[str]:
    return [document["eid"] for document in found.documents]


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The entities whose documents have been checked."""
    found: list[str] = []

    def recorded(condition: Condition) -> Check:
        check = matcher(condition)
        return lambda document: found.append(document["eid"]) or check(document)  # type: ignore[func-returns-value]

    monkeypatch.setattr("dp3.reads.query.planning.matcher", recorded)
    return found


@pytest.fixture
def points(node: Node) -> Node:
    """Ten entities, of which every other one has a 1."""
    node.store_points(*(dp("p", number % 2, f"e{number}") for number in range(10)))
    make_run(node)
    return node


def test_documents_are_checked_for_candidates_only(points: Node, checked: list[str]) -> None:
    found = points.services.reads.listings.latest(
        "a", generic={"p": 1, "o#c": {"$exists": False}}, window=EVERY
    )
    assert ids(found) == checked == ["e1", "e3", "e5", "e7", "e9"]


def test_no_document_is_checked_as_long_as_all_values_are_of_their_types(
    points: Node, checked: list[str]
) -> None:
    listings = points.services.reads.listings
    assert len(ids(listings.latest("a", generic={"p": 1}, window=EVERY))) == 5
    assert listings.count("a", generic={"p": 1}) == 5
    assert checked == []
    make_run(points, {("a", "e4"): {"p": True}})
    assert listings.count("a", generic={"p": 1}) == 5
    assert checked == ["e4"]
    assert listings.count("a", generic={"s": "x"}) == 0
    assert checked == ["e4"]


@pytest.mark.parametrize("skip", [0, 2, 3, 9])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"p": 1}, [1, 5, 7, 9]),
        ({"p": {"$ne": 1}}, [0, 2, 3, 4, 6, 8]),
        ({"$nor": [{"p": 0}]}, [1, 3, 4, 5, 7, 9]),
        ({"p": True}, [3]),
    ],
)
def test_pages_and_totals_are_right_when_some_documents_are_checked(
    points: Node, query: dict[str, Any], expected: list[int], skip: int
) -> None:
    make_run(points, {("a", "e3"): {"p": True}, ("a", "e4"): {"p": {"x": 1}}})
    listings = points.services.reads.listings
    page = listings.latest("a", generic=query, window=Window(skip, 2))
    assert page.total == listings.count("a", generic=query) == len(expected)
    found = ids(page)
    while page.cursor is not None:
        page = listings.latest("a", generic=query, window=Window(0, 2, page.cursor))
        found += ids(page)
    assert found == [f"e{number}" for number in expected[skip:]]
