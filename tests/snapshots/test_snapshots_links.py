"""Links in values, and what becomes of those that lead nowhere."""

from typing import Any

import pytest

from dp3.engine.jobs.snapshots.doc import Doc
from dp3.engine.jobs.snapshots.links import links_in, without_missing
from dp3.history.terms import Terms

HERE, GONE = {"eid": 1}, {"eid": 2}
FIRST, SECOND = Terms(1, 1, 0, 1, 0, 0), Terms(2, 1, 0, 2, 0, 0)


def exists(etype: str, eid: Any) -> bool:
    return (etype, eid) == ("b", 1)


def kept(value: Any, terms: Any = None) -> Doc:
    """What is left of relation `l` to `b`."""
    doc = Doc({"eid": "e", "l": value, "p": 5}, {} if terms is None else {"l": terms})
    return without_missing(doc, {"l": "b", "absent": "b"}, exists)


@pytest.mark.parametrize(
    ("value", "links"),
    [
        (HERE, [HERE]),
        ([HERE, GONE], [HERE, GONE]),
        ([[HERE], [], [GONE]], [HERE, GONE]),
        (None, []),
        ("text", []),
        ([5, {"no": "eid"}, HERE], [HERE]),
    ],
)
def test_links_are_found_in_every_shape(value: Any, links: list[Any]) -> None:
    assert list(links_in(value)) == links


def test_a_link_that_leads_somewhere_stays() -> None:
    assert kept(HERE, FIRST) == Doc({"eid": "e", "l": HERE, "p": 5}, {"l": FIRST})


@pytest.mark.parametrize("terms", [None, FIRST])
def test_a_single_link_to_nowhere_goes_with_its_confidence(terms: Any) -> None:
    assert kept(GONE, terms) == Doc({"eid": "e", "p": 5}, {})


def test_values_to_nowhere_go_with_their_confidences() -> None:
    left = kept([GONE, HERE], [FIRST, SECOND])
    assert left == Doc({"eid": "e", "l": [HERE], "p": 5}, {"l": [SECOND]})


def test_an_attribute_with_no_value_left_is_gone() -> None:
    assert kept([GONE, GONE], [FIRST, SECOND]) == Doc({"eid": "e", "p": 5}, {})


@pytest.mark.parametrize("terms", [None, FIRST])
def test_a_list_of_links_stays_whole_if_one_leads_somewhere(terms: Any) -> None:
    assert kept([GONE, HERE], terms).values["l"] == [GONE, HERE]
    assert kept([], terms).values["l"] == []
    assert kept([GONE, GONE], terms) == Doc({"eid": "e", "p": 5}, {})


def test_each_list_of_a_multi_valued_attribute_is_judged_by_itself() -> None:
    left = kept([[GONE], [GONE, HERE]], [FIRST, SECOND])
    assert (left.values["l"], left.terms["l"]) == ([[GONE, HERE]], [SECOND])


def test_links_to_other_types_are_not_looked_at() -> None:
    doc = Doc({"eid": "e", "l": GONE}, {})
    assert without_missing(doc, {}, exists) == doc


def test_the_given_document_is_not_changed() -> None:
    doc = Doc({"eid": "e", "l": [GONE, HERE]}, {"l": [FIRST, SECOND]})
    without_missing(doc, {"l": "b"}, exists)
    assert doc == Doc({"eid": "e", "l": [GONE, HERE]}, {"l": [FIRST, SECOND]})
