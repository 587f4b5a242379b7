"""What filters mean: the rules of MongoDB's query language, on snapshots."""

from typing import Any

import pytest

from kit.filters import matches

HOST = {"eid": "h1", "s": "web", "n": 5, "arr": ["x", "y"], "ls": [{"eid": 1}, {"eid": 2}], "d": {"x": 1}}


def says(document: dict[str, Any], *yes: dict[str, Any]) -> None:
    for query in yes:
        assert matches(document, query), query


def denies(document: dict[str, Any], *no: dict[str, Any]) -> None:
    for query in no:
        assert not matches(document, query), query


def test_bare_value_means_equality() -> None:
    says(HOST, {"n": 5}, {"n": 5.0}, {"s": "web"}, {"n": {"$eq": 5}}, {})
    denies(HOST, {"n": 6}, {"s": "WEB"}, {"n": "5"}, {"n": True})


def test_attributes_are_named_with_and_without_the_prefix() -> None:
    says(HOST, {"last.n": 5}, {"n": 5}, {"last.eid": "h1"}, {"eid": "h1"}, {"_id": "h1"}, {"last.d.x": 1})


def test_several_conditions_must_all_hold() -> None:
    says(HOST, {"n": 5, "s": "web"}, {"$and": [{"n": 5}, {"s": "web"}]}, {"n": {"$gt": 4, "$lt": 6}})
    denies(HOST, {"n": 5, "s": "x"}, {"$and": [{"n": 5}, {"s": "x"}]}, {"n": {"$gt": 4, "$lt": 5}})


def test_or_and_nor_combine_conditions() -> None:
    says(HOST, {"$or": [{"n": 1}, {"s": "web"}]}, {"$nor": [{"n": 1}, {"s": "x"}]})
    denies(HOST, {"$or": [{"n": 1}, {"s": "x"}]}, {"$nor": [{"n": 5}, {"s": "x"}]})


def test_ranges_compare_values_of_one_kind_only() -> None:
    says(HOST, {"n": {"$gte": 5}}, {"n": {"$lte": 5.0}}, {"s": {"$gt": "w"}}, {"s": {"$lt": "webb"}})
    denies(HOST, {"n": {"$gt": 5}}, {"s": {"$gt": 1}}, {"n": {"$lt": "z"}}, {"missing": {"$lt": 1}})


def test_unequal_and_not_in_include_what_is_missing() -> None:
    says(HOST, {"n": {"$ne": 6}}, {"f": {"$ne": 1}}, {"f": {"$nin": [1, 2]}}, {"n": {"$nin": [1]}})
    denies(HOST, {"n": {"$ne": 5}}, {"n": {"$nin": [1, 5]}})


def test_in_takes_a_list_of_alternatives() -> None:
    says(HOST, {"n": {"$in": [1, 5]}}, {"f": {"$in": [None]}}, {"arr": {"$in": ["z", "y"]}})
    denies(HOST, {"n": {"$in": []}}, {"n": {"$in": ["5"]}})


def test_null_means_null_or_missing() -> None:
    says(HOST | {"sp": None}, {"f": None}, {"sp": None}, {"d.y": None}, {"f": {"$gte": None}})
    denies(HOST, {"n": None}, {"f": {"$gt": None}}, {"ls.eid": None})


def test_exists_asks_for_a_value() -> None:
    says(HOST, {"n": {"$exists": True}}, {"f": {"$exists": False}}, {"ls.eid": {"$exists": 1}})
    denies(HOST, {"n": {"$exists": False}}, {"f": {"$exists": True}}, {"ls.data": {"$exists": True}})
    says(HOST | {"arr": []}, {"arr": {"$exists": True}})


def test_null_of_a_declared_type_does_not_exist_but_null_in_json_does() -> None:
    denies({"n": None}, {"n": {"$exists": True}})
    says({"js": {"k": None}}, {"js.k": {"$exists": True}})


def test_null_of_a_declared_type_does_not_exist_wherever_it_stands() -> None:
    denies({"d": None}, {"d": {"$exists": True}})
    denies({"l": None}, {"l": {"$exists": True}})
    denies(
        {"ol": [{"eid": 1, "data": None}]},
        {"ol.0.data": {"$exists": True}},
        {"ol.0.data.w": {"$exists": True}},
    )
    denies({"arr": [None]}, {"arr.0": {"$exists": True}})
    denies({"o#c": None}, {"o#c": {"$exists": True}})
    says({"js": [None], "extra": {"k": None}}, {"js.0": {"$exists": True}}, {"extra.k": {"$exists": True}})


def test_not_negates_the_whole_test() -> None:
    says(HOST, {"n": {"$not": {"$gt": 5}}}, {"f": {"$not": {"$gt": 5}}}, {"arr": {"$not": {"$eq": "z"}}})
    denies(HOST, {"n": {"$not": {"$gt": 4, "$lt": 6}}}, {"arr": {"$ne": "x"}})


def test_list_meets_a_test_by_one_element_or_as_a_whole() -> None:
    says(HOST, {"arr": "x"}, {"arr": ["x", "y"]}, {"arr": {"$gt": "x"}}, {"arr": {"$gte": "y", "$lt": "y"}})
    denies(HOST, {"arr": "z"}, {"arr": ["y", "x"]}, {"arr": ["x"]})


def test_element_of_a_list_can_be_named_by_its_number() -> None:
    says(HOST, {"arr.1": "y"}, {"ls.0.eid": 1}, {"last.ls.1.eid": {"$gt": 1}})
    denies(HOST, {"arr.0": "y"}, {"arr.5": "y"})


def test_elements_of_nested_lists_are_not_reached() -> None:
    document = {"oma": [[1, 2], [3]]}
    says(document, {"oma": [3]}, {"oma.0": 2})
    denies(document, {"oma": 3})


def test_elem_match_asks_one_element_for_everything() -> None:
    document = {"ol": [{"eid": 1, "data": {"w": 0.5}}, {"eid": 2, "data": {"w": 0.1}}], "oma": [[1, 2], [7]]}
    says(
        document,
        {"ol": {"$elemMatch": {"eid": 1, "data.w": {"$gt": 0.4}}}},
        {"ol": {"$elemMatch": {"$or": [{"eid": 9}, {"eid": 2}]}}},
    )
    denies(document, {"ol": {"$elemMatch": {"eid": 2, "data.w": {"$gt": 0.4}}}})
    says({"arr": ["a", "m"]}, {"arr": {"$elemMatch": {"$gt": "b", "$lt": "n"}}})
    denies({"arr": ["a", "z"]}, {"arr": {"$elemMatch": {"$gt": "b", "$lt": "n"}}})
    denies({"n": 5}, {"n": {"$elemMatch": {"$gt": 1}}})


def test_elem_match_takes_an_element_that_is_a_list_as_a_whole() -> None:
    document = {"oma": [[1, 2], [7]], "js": [[{"x": 1}], {"y": 2}]}
    says(
        document,
        {"oma": {"$elemMatch": {"$eq": [7]}}},
        {"oma": {"$elemMatch": {"$size": 2}}},
        {"oma": {"$elemMatch": {"$elemMatch": {"$eq": 7}}}},
        {"oma": {"$elemMatch": {"1": 2}}},
        {"oma": {"$elemMatch": {"$not": {"$gt": 0}}}},
        {"js": {"$elemMatch": {"0.x": 1}}},
    )
    denies(
        document,
        {"oma": {"$elemMatch": {"$eq": 7}}},
        {"oma": {"$elemMatch": {"$gt": 0}}},
        {"oma": {"$elemMatch": {"$type": "number"}}},
        {"js": {"$elemMatch": {"x": 1}}},
    )


def test_all_wants_every_value_in_the_list() -> None:
    says(HOST, {"arr": {"$all": ["y", "x"]}}, {"n": {"$all": [5]}})
    says(HOST, {"ls": {"$all": [{"$elemMatch": {"eid": 1}}, {"$elemMatch": {"eid": 2}}]}})
    denies(HOST, {"arr": {"$all": ["x", "z"]}}, {"arr": {"$all": []}})


def test_a_number_in_a_path_names_an_element_only_as_it_is_written() -> None:
    document = {"arr": ["x", "y"]}
    says(document, {"arr.1": "y"})
    denies(document, {"arr.01": "y"}, {f"arr.{'1' * 5_000}": "y"})


def test_fulltext_on_the_id_replaces_a_condition_on_it_by_either_name() -> None:
    for name in ("eid", "_id", "last.eid"):
        assert matches({"eid": "h1"}, {name: "other"}, {"eid": "h"})


def test_a_network_has_addresses_only_in_it() -> None:
    document = {"ip": "10.0.0.2", "s": "10.0.0.2", "js": ["10.0.0.2"], "ips": ["10.0.1.1", "10.0.0.9"]}
    network = "$$IPv4Prefix{10.0.0.0/28}"
    says(document, {"ip": network}, {"ips": {"$in": [network]}}, {"s": {"$ne": network}})
    denies(document, {"s": network}, {"js": network}, {"js": {"$in": [network]}}, {"ip6": network})


def test_size_counts_elements() -> None:
    says(HOST, {"arr": {"$size": 2}}, {"ls": {"$size": 2.0}})
    denies(HOST, {"arr": {"$size": 1}}, {"n": {"$size": 1}})


@pytest.mark.parametrize(
    ("attr", "types"),
    [
        ("n", ["int", 16, "number", ["string", "int"]]),
        ("s", ["string", 2]),
        ("arr", ["array", "string"]),
        ("d", ["object"]),
        ("f", ["double", "number"]),
        ("ip", ["binData"]),
        ("when", ["date", 9]),
        ("flag", ["bool"]),
        ("sp", ["null"]),
        ("o", ["long"]),
    ],
)
def test_type_names_the_type_of_the_value(attr: str, types: list[Any]) -> None:
    document = HOST | {"f": 1.0, "ip": "10.0.0.1", "when": "2020-01-01T00:00:00Z", "flag": True, "o": 1 << 40}
    document["sp"] = None
    for name in types:
        assert matches(document, {attr: {"$type": name}})
        assert not matches({}, {attr: {"$type": name}})
    assert not matches(document, {attr: {"$type": "long" if attr != "o" else "int"}})


def test_objects_are_equal_whatever_the_order_of_their_keys() -> None:
    document = {"js": {"a": 1, "b": [{"c": None}]}}
    says(document, {"js": {"b": [{"c": None}], "a": 1.0}})
    denies(document, {"js": {"a": 1}}, {"js.b.c": 1})


def test_objects_are_ordered_by_type_then_name_then_value_of_each_key_in_turn() -> None:
    says(
        {"js": {"a": "x"}},
        {"js": {"$gt": {"b": 1}}},
        {"js": {"$gt": {"a": 1}}},
        {"js": {"$lt": {"b": "a"}}},
        {"js": {"$gt": {}}},
        {"js": {"$lt": {"a": "x", "b": None}}},
    )
    denies({"js": {"a": "x"}}, {"js": {"$lt": {"b": 1}}}, {"js": {"$gt": {"a": "y"}}}, {"js": {"$gt": ["a"]}})


# -- typed values --------------------------------------------------------------------------------------

TYPED = {
    "eid": "h1",
    "ip": "10.0.0.9",
    "ip6": "2001:db8::1",
    "mac": "00:11:22:33:44:55",
    "when": "2020-01-01T12:00:00.500000Z",
    "ips": ["10.0.0.1", "192.168.0.1"],
    "flag": True,
    "d": {"x": 1, "y": None, "ip": "10.0.0.1"},
}


def test_addresses_and_times_can_be_written_as_text() -> None:
    says(
        TYPED,
        {"ip": "10.0.0.9"},
        {"ip6": "2001:DB8:0::1"},
        {"mac": "00-11-22-33-44-55"},
        {"when": "2020-01-01T13:00:00.5+01:00"},
        {"when": {"$gt": "2020-01-01"}},
        {"when": {"$lt": 1_577_880_001}},
        {"d.ip": {"$in": ["10.0.0.1"]}},
    )
    denies(TYPED, {"ip": "10.0.0.99"}, {"ip": "x"}, {"when": "x"}, {"when": {"$gt": True}}, {"ip": 167772169})


def test_addresses_compare_as_numbers_not_as_texts() -> None:
    says(TYPED, {"ip": {"$lt": "10.0.0.10"}}, {"ip6": {"$gt": "2001:db7::"}})


def test_magic_values_meet_values_of_their_type() -> None:
    says(
        TYPED,
        {"ip": "$$IPv4{10.0.0.9}"},
        {"ip": "$$IPv4Prefix{10.0.0.0/24}"},
        {"ip": {"$in": ["$$IPv4Prefix{10.0.0.0/24}", "$$IPv4{1.1.1.1}"]}},
        {"ip6": "$$IPv6Prefix{2001:db8::/32}"},
        {"mac": {"$gte": "$$MAC{00:11:22:33:44:00}"}},
        {"when": {"$gt": "$$Date{2020-01-01T12:00:00Z}", "$lt": "$$DateTs{1577880001}"}},
        {"ips": "$$IPv4Prefix{192.168.0.0/16}"},
    )
    denies(TYPED, {"ip": "$$IPv4Prefix{10.0.1.0/24}"}, {"ip": {"$ne": "$$IPv4Prefix{10.0.0.0/24}"}})


def test_ids_of_any_type_can_be_asked_for() -> None:
    assert matches({"eid": 7}, {"eid": 7}, etype="b")
    assert matches({"eid": 7}, {"_id": "$$Binary_ID{$$int{7}}"}, etype="b")
    assert matches({"eid": "10.0.0.1"}, {"last.eid": {"$lt": "10.0.0.2"}}, etype="i")
    assert matches({"eid": "10.0.0.1"}, {"_id": "$$Binary_ID{$$IPv4Prefix{10.0.0.0/8}}"}, etype="i")
    assert not matches({"eid": 7}, {"eid": "7"}, etype="b")


def test_magic_values_meet_the_text_form_where_anything_may_stand() -> None:
    says({"js": {"ip": "10.0.0.1"}, "extra": "10.0.0.1"}, {"js.ip": "$$IPv4{10.0.0.1}"})
    says({"extra": "10.0.0.1"}, {"extra": "$$IPv4{10.0.0.1}"})


def test_true_is_not_one() -> None:
    says(TYPED, {"flag": True})
    denies(TYPED, {"flag": 1}, {"d.x": True})


def test_integers_of_any_size_can_be_compared_with() -> None:
    says(HOST, {"n": {"$lt": 1 << 70}}, {"n": {"$gt": -(10**400)}})
    denies(HOST, {"n": 10**400})


def test_confidences_can_be_asked_for() -> None:
    says({"o": 1, "o#c": 0.5, "om": ["x"], "om#c": [0.2]}, {"o#c": {"$gt": 0.4}}, {"last.om#c": 0.2})


def test_time_of_the_run_can_be_asked_for() -> None:
    says({"_time_created": "2020-01-01T12:00:00Z"}, {"_time_created": {"$gt": "2020-01-01"}})


# -- regular expressions -------------------------------------------------------------------------------


def test_regular_expression_is_searched_anywhere_in_texts() -> None:
    says(HOST, {"s": {"$regex": "e"}}, {"s": {"$regex": "^we"}}, {"arr": {"$regex": "y$"}})
    denies(
        HOST, {"s": {"$regex": "^e"}}, {"s": {"$regex": "E"}}, {"n": {"$regex": "5"}}, {"f": {"$regex": ""}}
    )


@pytest.mark.parametrize(
    ("options", "pattern", "text"),
    [
        ("i", "WEB", "web"),
        ("m", "^b$", "a\nb"),
        ("s", "a.b", "a\nb"),
        ("x", "w e  b # all", "web"),
        ("ix", "W B", "wb"),
    ],
)
def test_options_change_the_regular_expression(options: str, pattern: str, text: str) -> None:
    says({"s": text}, {"s": {"$regex": pattern, "$options": options}})
    denies({"s": text}, {"s": {"$regex": pattern}})


def test_extended_patterns_keep_blanks_in_classes_and_escapes() -> None:
    says({"s": "a b#"}, {"s": {"$regex": "a [ ] b \\#", "$options": "x"}})


def test_regular_expressions_are_searched_in_times_as_they_are_shown() -> None:
    says(TYPED, {"when": {"$regex": "^2020-01-01T12"}}, {"when": {"$regex": "Z$"}})
    denies(TYPED, {"when": {"$regex": "1577880000"}})


def test_fulltext_ignores_case_and_finds_ids_addresses_and_links() -> None:
    assert matches(TYPED, fulltext={"eid": "^H1$"})
    assert matches(TYPED, fulltext={"ip": "^10\\.", "mac": "22:33"})
    assert matches(HOST, fulltext={"ls": "^2$", "arr": "X", "s": ""})
    assert matches({"eid": 17}, fulltext={"eid": "^1"}, etype="b")
    assert not matches(HOST, fulltext={"ls": "^3$"})


def test_fulltext_replaces_the_generic_condition_on_the_same_attribute() -> None:
    assert matches(HOST, {"last.s": "nope", "n": 5}, {"s": "web"})
    assert not matches(HOST, {"last.s": "nope", "n": 6}, {"s": "web"})


def test_hostile_pattern_takes_linear_time() -> None:
    denies({"s": "a" * 100_000 + "b"}, {"s": {"$regex": "^(a+)+$"}})
