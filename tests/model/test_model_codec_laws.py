"""Laws that hold for the codecs of all data types."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_builders import a_data_type, validated
from pydantic import ValidationError

from dp3.model.errors import Reject
from dp3.model.primitives import PRIMITIVE_TYPES
from dp3.model.type_text import PRIMITIVES
from dp3.model.wire import decode_value, encode_value

few = settings(max_examples=40, deadline=None)  # times the number of data types

DATA_TYPES = [
    *PRIMITIVES,
    "array<int>",
    "array<time>",
    "array<link<n>>",
    "set<string>",
    "set<float>",
    "set<mac>",
    "set<json>",
    "set<link<ip,int>>",
    "dict<k:int,o?:string>",
    "dict<k:special>",
    "category<string;up,down>",
    "category<int;1,2>",
    "category<float;1,2>",
    "category<tag;true>",
    "link<s>",
    "link<n>",
    "link<with-dash,float>",
    "link<ip,dict<k:time>>",
]

octets = st.integers(0, 300).map(str) | st.sampled_from(["00", "01", "1 ", "+1", "٣", ""])
ipv4_like = st.lists(octets, min_size=3, max_size=5).map(".".join)
groups = st.text("0123456789abcdefABCDEF", max_size=5) | st.sampled_from(["", "0", "ffff", "1.2.3.4"])
ipv6_like = st.lists(groups, min_size=1, max_size=9).map(":".join)
ipv6_text = st.ip_addresses(v=6).map(str) | st.ip_addresses(v=6).map(lambda a: a.exploded.upper())
hex_pairs = st.lists(st.from_regex(r"[0-9a-fA-F]{2}", fullmatch=True), min_size=5, max_size=7)
mac_like = st.builds(lambda sep, parts: sep.join(parts), st.sampled_from([":", "-", ""]), hex_pairs)
time_like = st.from_regex(
    r"[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-5][0-9]:[0-6][0-9](\.[0-9]{1,7})?"
    r"(Z|[+-][012][0-9]:[0-6][0-9])?",
    fullmatch=True,
)
time_text = st.datetimes().map(lambda t: t.isoformat() + "Z")
words = st.sampled_from(["up", "down", "1", "true", "-1", "1_0", "nan", ""])
texts = words | st.text() | st.text(st.characters(), max_size=3)
addresses = ipv4_like | st.ip_addresses(v=4).map(str) | ipv6_like | ipv6_text | mac_like
numbers = st.integers(-3, 3) | st.integers() | st.floats() | st.sampled_from([1e300, 2**31, 2**63, -0.0])
scalars = st.none() | st.booleans() | numbers | texts | addresses | time_like | time_text
objects = st.dictionaries(st.sampled_from(["eid", "data", "k", "o", "x"]), scalars, max_size=3)
nested = st.recursive(
    scalars | objects, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=2)
)
json_values = nested | st.fixed_dictionaries({"eid": scalars, "data": scalars | objects})


def accepted(codec: Any, value: Any) -> Any:
    try:
        return codec.accept(value)
    except Reject:
        return Reject


@pytest.mark.parametrize("text", DATA_TYPES)
@few
@given(value=json_values)
def test_fast_path_agrees_with_validation_whenever_it_accepts(text: str, value: Any) -> None:
    data_type = a_data_type(text)
    fast = accepted(data_type.codec, value)
    if fast is not Reject:
        assert encode_value(fast) == encode_value(data_type.codec.to_wire(validated(data_type, value)))


@few
@given(value=addresses | time_like | time_text)
@pytest.mark.parametrize("text", ["ipv4", "ipv6", "mac", "time"])
def test_fast_path_agrees_on_texts_that_look_right(text: str, value: str) -> None:
    data_type = a_data_type(text)
    fast = accepted(data_type.codec, value)
    if fast is not Reject:
        assert fast == data_type.codec.to_wire(validated(data_type, value))


@pytest.mark.parametrize("text", DATA_TYPES)
@few
@given(values=st.lists(json_values, min_size=2, max_size=2))
def test_values_are_equal_exactly_if_their_encodings_are(text: str, values: list[Any]) -> None:
    data_type = a_data_type(text)
    try:
        one, two = (validated(data_type, value) for value in values)
    except ValidationError:
        return
    same_kind = "special" in text or "json" in text
    if not same_kind:  # free values tell 1 from 1.0 and True, which Python does not
        encodings = [encode_value(data_type.codec.to_wire(typed)) for typed in (one, two)]
        assert (one == two) == (encodings[0] == encodings[1])


@pytest.mark.parametrize("text", DATA_TYPES)
@few
@given(value=json_values)
def test_wire_form_survives_encoding_and_reads_back_equal(text: str, value: Any) -> None:
    data_type = a_data_type(text)
    try:
        typed = validated(data_type, value)
    except ValidationError:
        return
    wire = data_type.codec.to_wire(typed)
    stored = decode_value(encode_value(wire))
    assert stored == wire
    assert data_type.codec.from_wire(stored) == typed
    assert encode_value(data_type.codec.to_wire(data_type.codec.from_wire(stored))) == encode_value(wire)
    assert json.loads(json.dumps(wire)) == wire


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("tag", st.booleans()),
        ("string", st.text(st.characters(exclude_categories=["Cs"]))),
        ("int", st.integers(-(2**31), 2**31 - 1)),
        ("int64", st.integers(-(2**63), 2**63 - 1)),
        ("float", st.floats(allow_nan=False, allow_infinity=False)),
        ("ipv4", st.ip_addresses(v=4).map(str)),
        ("ipv6", st.ip_addresses(v=6).map(lambda a: a.exploded)),
        ("mac", st.binary(min_size=6, max_size=6).map(lambda b: b.hex(":"))),
        ("time", time_text),
    ],
)
def test_fast_path_takes_every_usual_value(text: str, values: st.SearchStrategy[Any]) -> None:
    @few
    @given(value=values)
    def check(value: Any) -> None:
        assert accepted(a_data_type(text).codec, value) is not Reject

    check()


def test_every_primitive_type_has_a_codec() -> None:
    assert tuple(PRIMITIVE_TYPES) == PRIMITIVES
