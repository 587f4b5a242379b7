"""What the index answers and what documents answer is the same: for any document and any filter."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from queries_kit import MODEL, condition

from dp3.engine.snapshots.doc import Doc, decode_doc, encode_doc
from dp3.engine.snapshots.keys import keys_of, plan_keys
from dp3.http.queries.documents import dated_document
from dp3.http.queries.matching import matcher
from dp3.http.queries.planning import Planner, make_plan, searches_texts
from dp3.store.query import And, Between, DocMatches, Has, Not, OneOf, Or, TextMatches, Where
from dp3.store.snapshots import Key

T = 1_577_880_000_000_000
PLANNER = Planner(dated_document)
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
            case TextMatches(path, test, prefix):
                texts = [key for key in at(path) if isinstance(key, str)]
                return any(key.startswith(prefix) and test(key) for key in texts)
            case DocMatches(test):
                return test(T, stored)

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


WORDS = st.sampled_from(["", "a", "ab", "b", "x", "10.0.0.1", "true", "a" * 1_001])
NUMBERS = st.sampled_from([-1, 0, 1, 2, 5, 1.0, 1.5, 2**40])
INTS = st.sampled_from([-1, 0, 1, 2, 5])
IPS = st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.10", "192.168.0.1"])
TIMES = st.sampled_from(["2020-01-01T00:00:00Z", "2020-01-01T00:00:00.500000Z", "2021-01-01T00:00:00Z"])
SCALARS = st.one_of(WORDS, NUMBERS, st.booleans(), IPS, TIMES)
JSON = st.recursive(
    SCALARS | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=6,
)

DOCUMENTS = st.fixed_dictionaries(
    {"eid": WORDS},
    optional={
        "n": INTS,
        "f": st.sampled_from([0.0, 1.0, 1.5]),
        "s": WORDS,
        "flag": st.booleans(),
        "ip": IPS,
        "when": TIMES,
        "cat": st.sampled_from([1, 2]),
        "arr": st.lists(WORDS, max_size=3),
        "ips": st.lists(IPS, max_size=2),
        "d": st.fixed_dictionaries({"x": INTS, "y": WORDS | st.none(), "ip": IPS | st.none()}),
        "js": JSON.filter(lambda value: isinstance(value, dict | list)),
        "sp": JSON,
        "l": st.fixed_dictionaries({"eid": INTS}),
        "ls": st.lists(st.fixed_dictionaries({"eid": INTS}), max_size=3),
        "om": st.lists(WORDS, min_size=1, max_size=3),
        "oma": st.lists(st.lists(INTS, max_size=2), min_size=1, max_size=2),
        "ol": st.lists(
            st.fixed_dictionaries({"eid": INTS, "data": st.fixed_dictionaries({"w": NUMBERS.map(float)})}),
            min_size=1,
            max_size=2,
        ),
        "extra": JSON,
    },
)

PATHS = st.sampled_from(
    [
        *("eid", "n", "last.n", "f", "s", "last.s", "flag", "ip", "when", "cat", "arr", "arr.0", "ips"),
        *("d", "d.x", "d.y", "d.ip", "js", "js.x", "js.x.y", "js.0", "sp", "sp.x", "extra", "extra.x"),
        *("l", "l.eid", "ls", "ls.eid", "ls.0.eid", "ol", "ol.eid", "ol.data", "ol.data.w"),
        *("om", "om#c", "oma", "oma.0", "nothing"),
    ]
)
LITERALS = st.one_of(
    SCALARS, st.none(), JSON, st.sampled_from(["$$IPv4{10.0.0.1}", "$$IPv4Prefix{10.0.0.0/28}"])
)
BOUNDS = st.one_of(SCALARS, st.sampled_from(["$$IPv4{10.0.0.5}", "$$Date{2020-01-01T00:00:00Z}"]))
PATTERNS = st.sampled_from(["a", "^a", "^ab?", "b$", "", "^10\\.", "^$", "^a|b", "[ab]x?$"])


def _plain(value: Any) -> bool:
    """Literal objects must not look like magic strings inside, which have no JSON form there."""
    return not isinstance(value, dict)


TESTS = st.recursive(
    st.one_of(
        st.builds(lambda op, v: {op: v}, st.sampled_from(["$eq", "$ne"]), LITERALS),
        st.builds(lambda op, v: {op: v}, st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), BOUNDS),
        st.builds(lambda low, high: {"$gte": low, "$lt": high}, BOUNDS, BOUNDS),
        st.builds(
            lambda op, v: {op: v},
            st.sampled_from(["$in", "$nin", "$all"]),
            st.lists(LITERALS.filter(_plain), max_size=3),
        ),
        st.builds(lambda v: {"$exists": v}, st.booleans()),
        st.builds(lambda v: {"$size": v}, st.integers(0, 2)),
        st.builds(lambda p: {"$regex": p}, PATTERNS),
        st.builds(lambda p: {"$regex": p, "$options": "i"}, PATTERNS),
        st.builds(
            lambda t: {"$type": t}, st.sampled_from(["string", "number", "array", "null", "bool", "date"])
        ),
        st.builds(lambda v: {"$elemMatch": {"eid": v}}, INTS),
    ),
    lambda inner: st.builds(lambda t: {"$not": t}, inner) | st.builds(lambda t: {"$elemMatch": t}, inner),
    max_leaves=2,
)

FIELDS = st.builds(lambda path, test: {path: test}, PATHS, TESTS | LITERALS.filter(_plain))
FILTERS = st.recursive(
    FIELDS,
    lambda inner: st.builds(
        lambda op, parts: {op: parts},
        st.sampled_from(["$and", "$or", "$nor"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=3,
)


@given(DOCUMENTS, FILTERS)
def test_question_to_the_store_holds_exactly_for_documents_that_match(
    document: dict[str, Any], query: dict[str, Any]
) -> None:
    understood = condition(query)
    stored = encode_doc(Doc(document, {}))
    expected = matcher(understood)(dated_document(T, stored))
    assert holds(PLANNER.where(understood), stored) == expected


@given(
    DOCUMENTS,
    st.dictionaries(st.sampled_from(["eid", "s", "arr", "l", "ip", "om", "sp"]), PATTERNS, max_size=2),
)
def test_fulltext_too(document: dict[str, Any], fulltext: dict[str, str]) -> None:
    understood = condition(None, fulltext)
    stored = encode_doc(Doc(document, {}))
    expected = matcher(understood)(dated_document(T, stored))
    assert holds(PLANNER.where(understood), stored) == expected


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
    assert make_plan(PLANNER, condition(query)).check is None


def test_number_of_matches_is_told_unless_every_text_has_to_be_searched() -> None:
    def searches(query: dict[str, Any]) -> bool:
        return searches_texts(make_plan(PLANNER, condition(query)).where)

    assert searches({"n": 1, "$or": [{"s": {"$not": {"$regex": "x"}}}]})
    assert not searches({"n": 1, "s": {"$regex": "^x"}})


def test_index_narrows_what_only_documents_can_answer() -> None:
    plan = make_plan(PLANNER, condition({"n": 5, "o#c": {"$gt": 0.5}}))
    assert plan.check is not None
    assert _leaves(plan.where) == [OneOf("n", (5,))]


def test_range_of_a_single_value_is_one_range() -> None:
    where = PLANNER.where(condition({"n": {"$gt": 1, "$lte": 7}}))
    assert _leaves(where) == [Between("n", 1, 7, low_open=True)]


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
        for leaf in _leaves(PLANNER.where(condition({"s": {"$regex": pattern}})))
        if isinstance(leaf, TextMatches)
    ]
    assert found.prefix == prefix
