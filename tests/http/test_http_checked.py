"""Filters for which the index is not enough: some documents are checked, and only those that have to be."""

from dataclasses import replace
from typing import Any

import pytest

from dp3.reads.query.documents import dated_document
from dp3.reads.query.filters import parse_filters
from dp3.reads.query.places import Places
from dp3.reads.query.planning import Plan, Planner, make_plan
from dp3.reads.snapshots import Snapshots, Window
from dp3.store.ports.queries import OneOf
from kit.http_runs import make_run
from kit.node import MODEL, Node, dp

EVERY = Window(limit=0)


def plan_of(query: dict[str, Any]) -> Plan:
    condition = parse_filters(Places(MODEL, "a"), MODEL.attribs("a"), None, query)
    return make_plan(Planner(dated_document), condition)


def failing(document: Any) -> bool:
    raise ZeroDivisionError("a document was checked")


def ids(found: Any) -> list[str]:
    return [document["eid"] for document in found.documents]


@pytest.fixture
def points(node: Node) -> Node:
    """Ten entities, of which every other one has a 1."""
    node.store_points(*(dp("p", number % 2, f"e{number}") for number in range(10)))
    make_run(node)
    return node


def test_documents_are_checked_for_candidates_only(points: Node) -> None:
    checked: list[str] = []
    plan = Plan(OneOf("p", (1,)), lambda document: not checked.append(document["eid"]))
    assert ids(Snapshots(points.store).listing("a", plan, (), EVERY)) == ["e1", "e3", "e5", "e7", "e9"]
    assert checked == ["e1", "e3", "e5", "e7", "e9"]


def test_an_error_of_a_check_reaches_the_one_who_asked(points: Node) -> None:
    with pytest.raises(ZeroDivisionError):
        Snapshots(points.store).count("a", Plan(OneOf("p", (1,)), failing))


def test_no_document_is_checked_as_long_as_all_values_are_of_their_types(points: Node) -> None:
    plan, snapshots = replace(plan_of({"p": 1}), check_marked=lambda: failing), Snapshots(points.store)
    assert len(snapshots.listing("a", plan, (), EVERY).documents) == snapshots.count("a", plan) == 5
    make_run(points, {("a", "e4"): {"p": True}})
    with pytest.raises(ZeroDivisionError):
        snapshots.count("a", plan)
    assert snapshots.count("a", replace(plan_of({"s": "x"}), check_marked=lambda: failing)) == 0


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
    plan, snapshots, window = plan_of(query), Snapshots(points.store), Window(skip, 2)
    page = snapshots.listing("a", plan, (), window)
    assert snapshots.total("a", plan, window, page) == snapshots.count("a", plan) == len(expected)
    found = ids(page)
    while page.cursor is not None:
        page = snapshots.listing("a", plan, (), Window(0, 2, page.cursor))
        found += ids(page)
    assert found == [f"e{number}" for number in expected[skip:]]
