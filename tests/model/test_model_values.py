"""Which values each data type takes, and how they look in wire form."""

import math
from datetime import datetime, timedelta, timezone
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from model_builders import a_data_type, validated, wire_of
from pydantic import ValidationError

from dp3.model.errors import Reject
from dp3.model.mac import MACAddress

MAC = "aa:bb:cc:dd:ee:ff"

ACCEPTED: list[tuple[str, Any, Any]] = [
    *[(t, v, True) for t in ("tag", "binary") for v in (True, 1, "true", "yes", "on", "t", "y", "1")],
    *[(t, v, False) for t in ("tag", "binary") for v in (False, 0, "false", "no", "off", "f", "n", "0")],
    ("string", "häß", "häß"),
    ("string", b"bytes", "bytes"),
    *[(t, v, 5) for t in ("int", "int64") for v in (5, 5.0, "5", "5.0", " 5 ")],
    *[(t, True, 1) for t in ("int", "int64")],
    ("int", "1_000", 1000),
    ("int", 2**31 - 1, 2**31 - 1),
    ("int", -(2**31), -(2**31)),
    ("int64", 2**63 - 1, 2**63 - 1),
    ("int64", -(2**63), -(2**63)),
    ("float", 1, 1.0),
    ("float", True, 1.0),
    ("float", "1.5", 1.5),
    ("float", -0.0, 0.0),
    ("ipv4", "1.2.3.4", "1.2.3.4"),
    ("ipv4", 16909060, "1.2.3.4"),
    ("ipv4", b"\x01\x02\x03\x04", "1.2.3.4"),
    ("ipv6", "2001:DB8:0:0::1", "2001:db8::1"),
    ("ipv6", 1, "::1"),
    ("ipv6", bytes(15) + b"\x01", "::1"),
    ("ipv6", "::ffff:1.2.3.4", "::ffff:1.2.3.4"),
    ("ipv6", "::ffff:102:304", "::ffff:1.2.3.4"),
    ("ipv6", "::1.2.3.4", "::102:304"),
    ("ipv6", "fe80::1%eth0", "fe80::1%eth0"),
    ("mac", "AA-BB-CC-DD-EE-FF", MAC),
    ("mac", b"aa:bb:cc:dd:ee:ff", MAC),
    ("mac", bytes.fromhex("aabbccddeeff"), MAC),
    ("mac", MACAddress(MAC), MAC),
    ("time", "2020-01-01T00:00:00", "2020-01-01T00:00:00Z"),
    ("time", "2020-01-01T02:00:00+02:00", "2020-01-01T00:00:00Z"),
    ("time", "2020-01-01T02:00:00.5+0200", "2020-01-01T00:00:00.500000Z"),
    ("time", "2020-01-01", "2020-01-01T00:00:00Z"),
    ("time", 1577836800, "2020-01-01T00:00:00Z"),
    ("time", 1577836800000, "2020-01-01T00:00:00Z"),
    ("time", "1577836800", "2020-01-01T00:00:00Z"),
    ("special", None, None),
    ("special", {"a": [1, (2, 3)]}, {"a": [1, [2, 3]]}),
    ("special", IPv4Address("1.2.3.4"), "1.2.3.4"),
    ("special", {MACAddress(MAC)}, [MAC]),
    ("json", {"a": None}, {"a": None}),
    ("json", [1, 1.5, "x"], [1, 1.5, "x"]),
    ("json", '{"a": [1]}', {"a": [1]}),
    ("array<int>", ["1", 2], [1, 2]),
    ("array<int>", (3, 3), [3, 3]),
    ("array< mac >", [MAC.upper()], [MAC]),
    ("array<link<n>>", [{"eid": "7"}], [{"eid": 7}]),
    ("set<int>", [3, "1", 3, 2], [1, 2, 3]),
    ("set<string>", {"b", "a"}, ["a", "b"]),
    ("set<ipv4>", ["1.1.1.1", "1.1.1.1"], ["1.1.1.1"]),
    ("set<link<n>>", [{"eid": 2}, {"eid": 1}, {"eid": "2"}], [{"eid": 1}, {"eid": 2}]),
    ("set<special>", [1, True, 1], [1, True]),
    ("dict<k: int>", {"k": "1"}, {"k": 1}),
    ("dict<k:int, o?: string>", {"k": 1, "unknown": 2}, {"k": 1, "o": None}),
    ("dict<k:int,o?:string>", {"k": 1, "o": None}, {"k": 1, "o": None}),
    (
        "dict<copy:int,json:int,model_x:int>",
        {"copy": 1, "json": 2, "model_x": 3},
        {"copy": 1, "json": 2, "model_x": 3},
    ),
    ("category<string;up, down>", "down", "down"),
    ("category<int;1,2>", 1, 1),
    ("category<binary;true>", True, True),
    ("link<s>", {"eid": "x"}, {"eid": "x"}),
    ("link<n>", {"eid": "7"}, {"eid": 7}),
    ("link<ip>", {"eid": "::0001"}, {"eid": "::1"}),
    ("link< with-dash >", {"eid": MAC.upper()}, {"eid": MAC}),
    ("link<s,int>", {"eid": "x", "data": "1"}, {"eid": "x", "data": 1}),
    ("link<s,int;mirror=m>", {"eid": "x", "data": 1}, {"eid": "x", "data": 1}),
    ("link<s, dict<k: int> ; mirror = m-n >", {"eid": "x", "data": {"k": 1}}, {"eid": "x", "data": {"k": 1}}),
]

NOT_TEXT: list[Any] = [1, True, None, {}]

REFUSED: list[tuple[str, Any, str]] = [
    ("tag", 2, "bool"),
    ("tag", None, "bool"),
    *[("string", v, "string_type") for v in NOT_TEXT],
    ("string", "\ud800", "value_error"),
    ("int", 2**31, "less_than_equal"),
    ("int", -(2**31) - 1, "greater_than_equal"),
    ("int", 1.5, "int_from_float"),
    ("int", "x", "int_parsing"),
    ("int64", 2**63, "less_than_equal"),
    ("int64", "-9223372036854775809", "greater_than_equal"),
    *[("float", v, "finite_number") for v in (math.nan, math.inf, "nan", "-inf")],
    ("float", "x", "float_parsing"),
    ("ipv4", "1.2.3.4/24", "ip_v4_address"),
    ("ipv4", "01.2.3.4", "ip_v4_address"),
    ("ipv4", "::1", "ip_v4_address"),
    ("ipv6", "1.2.3.4", "ip_v6_address"),
    ("ipv6", "fe80::1%\ud800", "value_error"),
    *[("mac", v, "value_error") for v in ("aabbccddeeff", "aa:bb:cc:dd:ee-ff", "aa:bb", 5, None, b"12345")],
    ("time", "x", "datetime"),
    ("time", "0001-01-01T00:00:00+01:00", "value_error"),
    ("special", math.nan, "value_error"),
    ("special", object(), "value_error"),
    ("special", {1: 2}, "value_error"),
    ("special", {"a": [2**63]}, "value_error"),
    *[
        ("json", v, "value_error")
        for v in (1, 1.5, True, None, "1", "null", '"x"', "[1e999]", {"a": math.nan})
    ],
    *[("json", v, "json_invalid") for v in ("x", "[NaN]", b"\xff", "[" * 100_000)],
    ("json", ["\ud800"], "value_error"),
    ("json", '["\\ud800"]', "value_error"),
    ("array<int>", 1, "list_type"),
    ("array<int>", ["x"], "int_parsing"),
    ("set<int>", {"a": 1}, "list_type"),
    ("dict<k:int,o?:int>", {"o": 1}, "missing"),
    ("dict<k:int>", {"k": None}, "int_type"),
    ("category<int;1,2>", "1", "enum"),
    ("category<string;a>", "b", "enum"),
    ("link<s>", "x", "model_type"),
    ("link<s>", {"eid": 1}, "string_type"),
    ("link<s>", {"eid": "x", "data": 1}, "extra_forbidden"),
    ("link<s,int>", {"eid": "x"}, "missing"),
    ("link<n>", {"eid": 2**63}, "less_than_equal"),
]


@pytest.mark.parametrize(("text", "value", "wire"), ACCEPTED)
def test_value_is_taken_and_has_this_wire_form(text: str, value: Any, wire: Any) -> None:
    data_type = a_data_type(text)
    got = wire_of(data_type, value)
    assert (got, repr(got)) == (wire, repr(wire))


@pytest.mark.parametrize(("text", "value", "wire"), ACCEPTED)
def test_wire_form_reads_back_as_the_same_typed_value(text: str, value: Any, wire: Any) -> None:
    data_type = a_data_type(text)
    typed = validated(data_type, value)
    assert data_type.codec.from_wire(wire) == typed
    assert type(data_type.codec.from_wire(wire)) is type(typed)


@pytest.mark.parametrize(("text", "value", "kind"), REFUSED)
def test_value_is_refused_by_both_paths(text: str, value: Any, kind: str) -> None:
    data_type = a_data_type(text)
    with pytest.raises(ValidationError) as caught:
        validated(data_type, value)
    assert caught.value.errors()[0]["type"].startswith(kind)
    with pytest.raises(Reject):
        data_type.codec.accept(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("int", "x"),
        ("int", 2**31),
        ("string", None),
        ("ipv4", "1.1.1.1"),
        ("mac", MAC),
        ("time", "2020-01-01"),
        ("array<int>", 5),
        ("array<int>", ["x"]),
        ("dict<k:int>", {"k": 1}),
        ("link<s>", {"eid": "x"}),
        ("category<int;1>", 2),
    ],
)
def test_writing_a_value_of_another_type_fails(text: str, value: Any) -> None:
    with pytest.raises(ValueError):
        a_data_type(text).codec.to_wire(value)


def test_time_without_zone_is_utc() -> None:
    assert validated(a_data_type("time"), "2020-01-01T00:00:00").utcoffset() == timedelta(0)


def test_time_keeps_its_zone_until_it_is_written() -> None:
    zone = timezone(timedelta(hours=2))
    typed = validated(a_data_type("time"), datetime(2020, 1, 1, 2, tzinfo=zone))
    assert typed.utcoffset() == timedelta(hours=2)
    assert a_data_type("time").codec.to_wire(typed) == "2020-01-01T00:00:00Z"


def test_typed_values_are_objects_with_attributes() -> None:
    link = validated(a_data_type("link<ip,dict<k:int,o?:int>>"), {"eid": "::1", "data": {"k": 1}})
    assert (link.eid, link.data.k, link.data.o) == (IPv6Address("::1"), 1, None)


def test_typed_set_has_no_duplicates_and_is_sorted() -> None:
    assert validated(a_data_type("set<ipv4>"), ["2.2.2.2", "1.1.1.1", "2.2.2.2"]) == [
        IPv4Address("1.1.1.1"),
        IPv4Address("2.2.2.2"),
    ]


def test_free_values_deeper_than_the_limit_are_refused() -> None:
    value: Any = []
    for _ in range(101):
        value = [value]
    with pytest.raises(ValidationError, match="nested more than 100 levels"):
        validated(a_data_type("special"), value)


def test_unknown_category_value_lists_the_choices() -> None:
    with pytest.raises(ValidationError, match="Input should be 'up' or 'down'"):
        validated(a_data_type("category<string;up,down>"), "sideways")
