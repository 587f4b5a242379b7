"""Keys of the index of current values."""

from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dp3.engine.jobs.snapshots.doc import Doc, decode_doc, encode_doc
from dp3.engine.jobs.snapshots.keys import (
    MAX_PATHS,
    MAX_TEXT,
    KeyPlan,
    PathKey,
    changed_keys,
    keys_of,
    plan_keys,
)
from dp3.history.confidence import Terms
from dp3.model.primitives import PRIMITIVE_TYPES
from kit.specs import a_model, plain_attr
from kit.values import brief

thorough = settings(max_examples=200, deadline=None)
DAY_US = 86_400_000_000


def key_of(data_type: str, wire: Any) -> Any:
    to_index = PRIMITIVE_TYPES[data_type].to_index
    assert to_index is not None
    return to_index(wire)


def a_key_plan(data_type: str, **entity: Any) -> KeyPlan:
    return plan_keys(a_model({"x": plain_attr(data_type)}, **entity), "a")


def keys(data_type: str, value: Any) -> set[PathKey]:
    """Keys of attribute `x` of this type."""
    return keys_of(a_key_plan(data_type), Doc({"eid": "e", "x": value}, {})) - {("eid", "e")}


@pytest.mark.parametrize(
    ("data_type", "value", "expected"),
    [
        ("tag", True, {("x", 1)}),
        ("binary", False, {("x", 0)}),
        ("int", -5, {("x", -5)}),
        ("int64", 2**63 - 1, {("x", 2**63 - 1)}),
        ("float", 1.5, {("x", 1.5)}),
        ("string", "", {("x", "")}),
        ("time", "1970-01-02T00:00:00.000001Z", {("x", DAY_US + 1)}),
        ("ipv4", "1.2.3.4", {("x", b"\1\2\3\4")}),
        ("ipv6", "::1", {("x", bytes(15) + b"\1")}),
        ("ipv6", "::1%eth0", {("x", bytes(15) + b"\1%eth0")}),
        ("mac", "00:01:02:03:04:05", {("x", bytes(range(6)))}),
        ("category<int;1,2>", 2, {("x", 2)}),
        ("array<int>", [3, 1, 3], {("x", 1), ("x", 3)}),
        ("set<ipv4>", [], set()),
        ("link<b>", {"eid": 7}, {("x.eid", 7)}),
        ("link<ip,tag>", {"eid": "1.2.3.4", "data": True}, {("x.eid", b"\1\2\3\4"), ("x.data", 1)}),
        ("link<b,dict<k:int>>", {"eid": 7, "data": {"k": 1}}, {("x.eid", 7), ("x.data.k", 1)}),
        ("array<link<b>>", [{"eid": 7}, {"eid": 8}], {("x.eid", 7), ("x.eid", 8)}),
        ("dict<k:mac,o?:int>", {"k": "00:01:02:03:04:05", "o": None}, {("x.k", bytes(range(6)))}),
        ("json", {"a": [1, {"b": "t"}], "n": None, "f": True}, {("x.a", 1), ("x.a.b", "t"), ("x.f", 1)}),
        ("json", [[1], [2.5]], {("x", 1), ("x", 2.5)}),
        ("special", "text", {("x", "text")}),
    ],
)  # fmt: skip
def test_each_scalar_has_a_key_at_its_path(data_type: str, value: Any, expected: set[PathKey]) -> None:
    found = keys(data_type, value)
    assert found == expected
    assert {(path, type(key)) for path, key in found} == {(path, type(key)) for path, key in expected}


def test_ids_are_keys_of_their_type() -> None:
    plan = a_key_plan("int", id_data_type="mac")
    assert keys_of(plan, Doc({"eid": "00:01:02:03:04:05"}, {})) == {("eid", bytes(range(6)))}


def test_each_value_of_a_multi_valued_attribute_has_keys() -> None:
    plan = plan_keys(a_model({"x": brief("array<link<b>>", multi_value=True)}), "a")
    doc = Doc({"eid": "e", "x": [[{"eid": 1}, {"eid": 2}], [{"eid": 2}]]}, {})
    assert keys_of(plan, doc) == {("eid", "e"), ("x.eid", 1), ("x.eid", 2)}


def test_mirrors_have_keys_like_links() -> None:
    plan = plan_keys(a_model({"l": plain_attr("link<b;mirror=as>")}), "b")
    assert keys_of(plan, Doc({"eid": 7, "as": [{"eid": "e"}]}, {})) == {("eid", 7), ("as.eid", "e")}


def test_values_that_are_no_attributes_count_as_json() -> None:
    doc = Doc({"eid": "e", "seen": {"by": ["1.2.3.4", 5]}}, {})
    assert keys_of(a_key_plan("int"), doc) == {("eid", "e"), ("seen.by", "1.2.3.4"), ("seen.by", 5)}


@pytest.mark.parametrize(
    ("data_type", "value", "expected"),
    [
        ("int", "many", {("x", "many")}),
        ("string", 5, {("x", 5)}),
        ("ipv4", "unknown", {("x", "unknown")}),
        ("ipv4", 5, {("x", 5)}),
        ("tag", 1, {("x", 1)}),
        ("time", "soon", {("x", "soon")}),
        ("time", [1], {("x", 1)}),
        ("link<b>", {"eid": 7, "name": "n"}, {("x.eid", 7), ("x.name", "n")}),
        ("link<b,int>", {"eid": 7}, {("x.eid", 7)}),
        ("array<int>", 5, {("x", 5)}),
        ("dict<k:int>", "k", {("x", "k")}),
        ("array<mac>", ["00:01:02:03:04:05", "?"], {("x", "00:01:02:03:04:05"), ("x", "?")}),
    ],
)
def test_values_of_another_type_count_as_json_and_are_marked(
    data_type: str, value: Any, expected: set[PathKey]
) -> None:
    assert keys(data_type, value) == expected | {("x#odd", 1)}


@pytest.mark.parametrize("data_type", ["int", "link<b>", "array<int>", "dict<k:int>"])
def test_null_leaves_nothing(data_type: str) -> None:
    assert keys(data_type, None) == set()


@pytest.mark.parametrize(("data_type", "value"), [("int", 5.5), ("int64", 5.0), ("float", 5)])
def test_numbers_are_of_one_type(data_type: str, value: float) -> None:
    assert keys(data_type, value) == {("x", value)}


@pytest.mark.parametrize("data_type", ["string", "json"])
def test_long_texts_leave_a_mark_instead_of_a_key(data_type: str) -> None:
    longest = "x" * MAX_TEXT
    assert keys(data_type, longest) == {("x", longest)}
    assert keys(data_type, longest + "x") == {("x#long", 1)}
    assert keys("dict<k:string>", {"k": longest + "x"}) == {("x.k#long", 1)}


def test_every_entity_has_a_key_under_its_id() -> None:
    plan, long = plan_keys(a_model({"x": plain_attr("int")}), "a"), "e" * (MAX_TEXT + 1)
    assert keys_of(plan, Doc({"eid": long}, {})) == {("eid", long), ("eid#long", 1)}


def test_values_with_many_paths_are_indexed_in_part_and_marked() -> None:
    value = {f"k{i}": [i, i + 1000] for i in range(MAX_PATHS + 1)}
    found = keys("json", value)
    assert ("x#long", 1) in found
    assert len(found) == 2 * MAX_PATHS + 1
    assert ("x#long", 1) not in keys("json", dict(list(value.items())[1:]))


def test_keys_that_no_dotted_path_can_name_are_not_indexed() -> None:
    assert keys("json", {"a.b": 1, "a": {"c": 2}}) == {("x.a.c", 2)}


def test_confidences_have_no_keys() -> None:
    doc = Doc({"eid": "e", "x": 1}, {"x": Terms(1, 1, 0, 0, 0, 0)}, {"y#c": 0.5})
    assert keys_of(a_key_plan("int"), doc) == {("eid", "e"), ("x", 1)}


free = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab.", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.", max_size=2), inner, max_size=4)
    ),
)


@thorough
@given(free)
def test_a_stored_snapshot_has_the_same_keys(value: Any) -> None:
    plan, doc = a_key_plan("json"), Doc({"eid": "e", "x": value, "other": value}, {})
    assert keys_of(plan, decode_doc(encode_doc(doc))) == keys_of(plan, doc)


numbers = st.sampled_from([0, 1, 1.0, 0.0, -0.0, True, False, "1", None])
links = numbers | st.fixed_dictionaries({"eid": numbers})
snapshots = st.fixed_dictionaries(
    {"eid": st.just("e")},
    optional={"n": numbers, "j": free | numbers, "l": links, "ls": st.lists(links, max_size=2)}
    | dict.fromkeys(("other", "j.a", "n#odd"), free | numbers),
)


@thorough
@given(snapshots, snapshots)
def test_the_keys_that_change_are_those_that_one_of_two_snapshots_has(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    types = {"n": "int", "j": "json", "l": "link<b>", "ls": "array<link<b>>"}
    plan = plan_keys(a_model({name: plain_attr(data_type) for name, data_type in types.items()}), "a")
    before, after = (keys_of(plan, Doc(values, {})) for values in (old, new))
    assert changed_keys(plan, Doc(old, {}), Doc(new, {})) == (after - before, before - after)


def test_the_kind_of_every_typed_path_is_known() -> None:
    types = {"n": "array<float>", "l": "set<link<ip,dict<k:time,j:json>>>", "j": "json"}
    plan = plan_keys(a_model({name: plain_attr(t) for name, t in types.items()}), "a")
    assert plan.kinds == {"eid": "string", "n": "float", "l.eid": "ipv4", "l.data.k": "time"}


@thorough
@given(st.ip_addresses(v=4), st.ip_addresses(v=4))
def test_keys_compare_like_addresses(one: IPv4Address, two: IPv4Address) -> None:
    assert (key_of("ipv4", str(one)) < key_of("ipv4", str(two))) == (one < two)


@thorough
@given(st.datetimes(), st.datetimes())
def test_keys_compare_like_times(one: Any, two: Any) -> None:
    texts = [moment.isoformat() + "Z" for moment in (one, two)]
    assert (key_of("time", texts[0]) < key_of("time", texts[1])) == (one < two)


@thorough
@given(st.ip_addresses(v=6))
def test_keys_of_addresses_are_their_packed_bytes(address: IPv6Address) -> None:
    assert key_of("ipv6", str(address)) == address.packed


@pytest.mark.parametrize(
    ("kind", "wire"), [("int", True), ("int", "1"), ("tag", 1), ("mac", "x"), ("time", 5)]
)
def test_what_is_no_value_of_a_type_has_no_key_of_it(kind: str, wire: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        key_of(kind, wire)
