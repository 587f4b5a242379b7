"""What the index answers and what documents answer is the same: for any document and any filter."""

from typing import Any

import pytest
from hypothesis import given
from queries_strategies import DOCUMENTS, FILTERS, FULLTEXTS

from dp3.engine.jobs.snapshots.doc import Doc, decode_doc, encode_doc
from dp3.engine.jobs.snapshots.keys import ODD, keys_of, plan_keys
from dp3.reads.query.conditions import matcher
from dp3.reads.query.planning import DocMatches, make_plan, query_of, searches_texts
from dp3.reads.snapshots import dated_document
from dp3.store.patterns import compile_pattern
from dp3.store.ports.queries import And, Between, Has, Not, OneOf, Or, TextMatches, Where
from dp3.store.ports.snapshots import Key
from kit.filters import MODEL, condition

T = 1_577_880_000_000_000
KEYS = plan_keys(MODEL, "a")


def holds(where: Where, stored: bytes) -> bool:
    """The definition of a question, on one stored snapshot."""
    keys = keys_of(KEYS, decode_doc(stored))

    def at(path: str) -> list[Any]:
        return [key for name, key in keys if name == path]

    def ask(where: Where) -> bool:
        match where:
            case And(parts):
                return all(map(ask, parts))
            case Or(parts):
                return any(map(ask, parts))
            case Not(part):
                return not ask(part)
            case Has(path):
                return bool(at(path))
            case OneOf(path, wanted):
                return any(_equal(key, one) for key in at(path) for one in wanted)
            case Between():
                return any(_between(where, key) for key in at(where.path))
            case TextMatches(path, pattern, flags, prefix):
                test = compile_pattern(pattern, flags)
                texts = [key for key in at(path) if isinstance(key, str)]
                return any(key.startswith(prefix) and test(key) for key in texts)
            case DocMatches(test):
                return matcher(test)(dated_document(T, stored))

    return ask(where)


def _equal(key: Key, other: Key) -> bool:
    return _class(key) == _class(other) and key == other


def _class(key: Key) -> str:
    return "number" if isinstance(key, int | float) else type(key).__name__


def _between(where: Between, key: Any) -> bool:
    low, high = where.low, where.high
    bound: Any = low if low is not None else high
    if _class(key) != _class(bound):
        return False
    above = low is None or (key > low if where.low_open else key >= low)
    return above and (high is None or (key < high if where.high_open else key <= high))


@given(DOCUMENTS, FILTERS)
def test_question_to_the_store_holds_exactly_for_documents_that_match(
    document: dict[str, Any], query: dict[str, Any]
) -> None:
    understood = condition(query)
    stored = encode_doc(Doc(document, {}))
    expected = matcher(understood)(dated_document(T, stored))
    assert holds(query_of(understood), stored) == expected


@given(DOCUMENTS, FULLTEXTS)
def test_fulltext_too(document: dict[str, Any], fulltext: dict[str, str]) -> None:
    understood = condition(None, fulltext)
    stored = encode_doc(Doc(document, {}))
    expected = matcher(understood)(dated_document(T, stored))
    assert holds(query_of(understood), stored) == expected


@pytest.mark.parametrize(
    "query",
    [
        {"n": 5},
        {"n": {"$gt": 1, "$lt": 7}},
        {"n": {"$in": [1, 2]}, "flag": True},
        {"n": {"$exists": True}},
        {"n": None},
        {"ip": "$$IPv4Prefix{10.0.0.0/8}"},
        {"ip": {"$ne": "10.0.0.1"}},
        {"when": {"$gte": "2020-01-01"}},
        {"s": "x"},
        {"l.eid": 7},
        {"ol.eid": {"$in": [1]}},
        {"$or": [{"eid": "a"}, {"$nor": [{"arr": "x"}]}]},
    ],
)
def test_common_questions_need_the_index_only(query: dict[str, Any]) -> None:
    assert make_plan(condition(query)).check is None


def test_number_of_matches_is_told_unless_every_text_has_to_be_searched() -> None:
    def searches(query: dict[str, Any]) -> bool:
        return searches_texts(make_plan(condition(query)).where)

    assert searches({"n": 1, "$or": [{"s": {"$not": {"$regex": "x"}}}]})
    assert not searches({"n": 1, "s": {"$regex": "^x"}})


def test_null_is_found_beside_a_value_in_a_list() -> None:
    query = {"ol.data.w": None}
    stored = encode_doc(
        Doc({"eid": "a", "ol": [{"eid": 1, "data": None}, {"eid": 2, "data": {"w": 1.0}}]}, {})
    )
    assert matcher(condition(query))(dated_document(T, stored))
    assert holds(query_of(condition(query)), stored)


def test_index_narrows_what_only_documents_can_answer() -> None:
    plan = make_plan(condition({"n": 5, "o#c": {"$gt": 0.5}}))
    assert plan.check is not None
    assert _known(plan.where) == [OneOf("n", (5,))]


def test_range_of_a_single_value_is_one_range() -> None:
    where = query_of(condition({"n": {"$gt": 1, "$lte": 7}}))
    assert _known(where) == [Between("n", 1, 7, low_open=True)]


def test_an_odd_value_is_looked_at_and_never_found_by_what_it_looks_like() -> None:
    for value, query in (
        (True, {"n": 1}),
        ([[5]], {"n": 5}),
        ({"x": 5}, {"n": {"$exists": False}}),
        ([], {"n": None}),
        ("5", {"ip": "5"}),
    ):
        stored = encode_doc(Doc({"eid": "a", next(iter(query)): value}, {}))
        expected = matcher(condition(query))(dated_document(T, stored))
        assert holds(query_of(condition(query)), stored) == expected, (value, query)


def _known(where: Where) -> list[Where]:
    """What the index is asked about values of the declared types."""
    return [
        leaf
        for leaf in _leaves(where)
        if not isinstance(leaf, DocMatches) and not (isinstance(leaf, Has) and leaf.path.endswith(ODD))
    ]


def _leaves(where: Where) -> list[Where]:
    match where:
        case And(parts) | Or(parts):
            return [leaf for part in parts for leaf in _leaves(part)]
        case Not(part):
            return _leaves(part)
        case _:
            return [where]


@pytest.mark.parametrize(
    ("pattern", "prefix"),
    [
        ("^web", "web"),
        ("^web-1\\.example", "web-1.example"),
        ("^web.*", "web"),
        ("^webs?", "web"),
        ("^we(b|c)", ""),
        ("web", ""),
        ("^a|b", ""),
        ("^x{2}", ""),
        ("^\\d", ""),
    ],
)
def test_literal_beginning_of_a_pattern_narrows_the_search(pattern: str, prefix: str) -> None:
    (found,) = [
        leaf
        for leaf in _leaves(query_of(condition({"s": {"$regex": pattern}})))
        if isinstance(leaf, TextMatches)
    ]
    assert found.prefix == prefix
