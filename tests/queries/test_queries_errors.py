"""What can not be processed is refused with what was wrong and what was expected."""

import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dp3.reads.errors import QueryError, SortError
from dp3.reads.query.parsing import MAX_CONDITIONS, MAX_DEPTH, MAX_VALUES
from dp3.reads.query.regex import MAX_PATTERN, Regex
from dp3.reads.sorting import MAX_ORDERS, parse_sort
from dp3.store.ports.queries import Order
from kit.filters import MODEL, condition


def nested(levels: int) -> dict[str, Any]:
    query: dict[str, Any] = {"n": 1}
    for _ in range(levels):
        query = {"$and": [query]}
    return query


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"$where": "1"}, "unknown operator $where, expected $and, $or, $nor or the name of an attribute"),
        ({"$AND": []}, "unknown operator $AND"),
        ({"$not": {"n": 1}}, "unknown operator $not"),
        ({"n": {"$gte ": 1}}, "did you mean '$gte'?"),
        ({"n": {"$where": "1"}}, "unknown operator $where, expected one of $regex"),
        ({"n": {"$gt": 1, "x": 1}}, "unknown operator x"),
        ({"$and": {}}, "$and needs a list of conditions, got {}"),
        ({"$or": []}, "$or needs a list of conditions, got []"),
        ({"$nor": [1]}, "$nor takes objects with conditions, got 1"),
        ({"n": {"$in": 5}}, "$in takes a list, got 5"),
        ({"n": {"$nin": [{"$gt": 1}]}}, "$nin takes values, not operators"),
        ({"n": {"$in": [0] * (MAX_VALUES + 1)}}, f"$in takes up to {MAX_VALUES} values"),
        ({"n": {"$exists": "yes"}}, "$exists takes true or false, got 'yes'"),
        ({"n": {"$not": 5}}, '$not takes operators such as {"$gt": 1}, got 5'),
        ({"n": {"$not": {}}}, "$not takes operators"),
        ({"n": {"$elemMatch": 5}}, "$elemMatch takes conditions, got 5"),
        ({"n": {"$size": 1.5}}, "$size takes a whole number, got 1.5"),
        ({"n": {"$size": True}}, "$size takes a whole number, got True"),
        ({"n": {"$size": float("inf")}}, "$size takes a whole number, got inf"),
        ({"n": {"$all": 1}}, "$all takes a list"),
        ({"n": {"$type": "text"}}, "$type takes names or numbers of types, got 'text'"),
        ({"n": {"$type": [True]}}, "$type takes names or numbers of types, got True"),
        ({"s": {"$regex": 5}}, "$regex takes a text, got 5"),
        ({"s": {"$options": "i"}}, "$options needs a $regex beside it"),
        ({"s": {"$regex": "x", "$options": "g"}}, "$options takes letters of 'imsx', got 'g'"),
        ({"s": {"$regex": "(?=x)"}}, "$regex '(?=x)': invalid perl operator: (?="),
        ({"s": {"$regex": "x" * (MAX_PATTERN + 1)}}, f"$regex may have {MAX_PATTERN} characters"),
        ({"s": {"$regex": "((x{30}){30}){30}"}}, "$regex '((x{30}"),
        ({"ip": {"$gt": "$$IPv4Prefix{10.0.0.0/8}"}}, "$gt takes one value, not a network"),
        ({"d": {"ip": "$$IPv4Prefix{10.0.0.0/8}"}}, "Network has no JSON form"),
        (nested(MAX_DEPTH), f"nested more than {MAX_DEPTH} levels deep"),
        ({"$or": [{"n": 1}] * MAX_CONDITIONS}, f"more than {MAX_CONDITIONS} conditions"),
    ],
)
def test_wrong_filter_is_refused_with_the_reason(query: dict[str, Any], reason: str) -> None:
    with pytest.raises(QueryError, match="^Query is invalid: .*" + re.escape(reason)):
        condition(query)


@pytest.mark.parametrize(
    ("fulltext", "generic", "message"),
    [
        ([1], None, "Fulltext filter is invalid"),
        ("x", None, "Fulltext filter is invalid"),
        (None, [], "Generic filter is invalid"),
        ({"s": 5}, None, "Filter '5' is not string"),
        ({"nope": "x"}, None, "Attribute 'nope' in fulltext filter doesn't exist"),
        ({"s": "("}, None, "Query is invalid: regular expression '(': missing ): ("),
        (
            None,
            {"n": "$$int{x}"},
            "Invalid generic filter: $$int{x}: invalid literal for int() with base 10: 'x'",
        ),
    ],
)
def test_wrong_filters_are_refused_in_the_known_words(fulltext: Any, generic: Any, message: str) -> None:
    with pytest.raises(QueryError) as caught:
        condition(generic, fulltext)
    assert str(caught.value) == message


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.just("$$int{7}"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "$and",
                    "$or",
                    "$not",
                    "$in",
                    "$gt",
                    "$all",
                    "$elemMatch",
                    "$regex",
                    "$type",
                    "$size",
                    "n",
                    "js.x",
                    "ip",
                    "",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["n", "s", "ip", "$or", "arr", "a.b", "ls"]), ANYTHING, max_size=3))
def test_any_object_is_understood_or_refused(query: dict[str, Any]) -> None:
    try:
        condition(query)
    except QueryError as error:
        assert str(error).startswith(("Query is invalid: ", "Invalid generic filter: "))


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*)*x", "(?i)(a?){50}a{50}x"])
def test_matching_takes_a_time_linear_in_the_text(pattern: str) -> None:
    test = Regex(pattern).compile()
    start = time.perf_counter()
    test("a" * 1_000_000 + "b")
    assert time.perf_counter() - start < 2


# -- sort orders ---------------------------------------------------------------------------------------


def test_sort_order_names_attribute_and_direction() -> None:
    texts = ["n", "f:1", "s:-1", "a-b:-1", "eid"]
    assert parse_sort(MODEL, "a", texts) == [
        Order("n"),
        Order("f"),
        Order("s", True),
        Order("a-b", True),
        Order("eid"),
    ]


@pytest.mark.parametrize("text", ["n:2", "n:", ":1", "n:1:1", "", "1n", "n m", "last.n"])
def test_wrong_format_of_a_sort_order_is_refused(text: str) -> None:
    with pytest.raises(SortError) as caught:
        parse_sort(MODEL, "a", ["n", text])
    assert str(caught.value) == (
        f"Sort specification at position 1 has invalid format '{text}'. "
        "Expected format 'attribute' or 'attribute:direction' where direction is 1 or -1"
    )


@pytest.mark.parametrize(
    ("attr", "reason"),
    [
        ("t", "only plain and observations attributes are supported"),
        ("om", "multi_value observations attributes are not supported for sorting"),
        ("js", "data type 'json' is not supported for sorting"),
        ("sp", "data type 'special' is not supported for sorting"),
        ("arr", "data type 'array<string>' is not supported for sorting"),
        ("l", "data type 'link<b>' is not supported for sorting"),
        ("cat", "data type 'category<int;1,2>' is not supported for sorting"),
    ],
)
def test_only_single_primitive_values_can_be_sorted_by(attr: str, reason: str) -> None:
    with pytest.raises(SortError) as caught:
        parse_sort(MODEL, "a", [attr])
    assert str(caught.value) == f"Cannot sort by attribute '{attr}' at position 0: {reason}"


def test_the_number_of_attributes_to_sort_by_is_bounded() -> None:
    assert len(parse_sort(MODEL, "a", ["n"] * MAX_ORDERS)) == MAX_ORDERS
    with pytest.raises(SortError, match=f"Up to {MAX_ORDERS} attributes can be sorted by, got 3000"):
        parse_sort(MODEL, "a", ["n"] * 3_000)
