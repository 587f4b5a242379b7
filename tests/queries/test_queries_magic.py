"""Magic strings stand for values that JSON can not express."""

from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest

from dp3.model.mac import MACAddress
from dp3.reads.errors import QueryError
from dp3.reads.query.magic import Network, replace_magic

TEN = Network(IPv4Address("10.0.0.0"), IPv4Address("10.255.255.255"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$$int{-7}", -7),
        ("$$IPv4{10.0.0.1}", IPv4Address("10.0.0.1")),
        ("$$IPv6{::1}", IPv6Address("::1")),
        ("$$MAC{00:11:22:33:44:55}", MACAddress("00:11:22:33:44:55")),
        ("$$Date{2020-01-02T03:04:05Z}", datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("$$DateTs{0.5}", datetime(1970, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)),
        ("$$IPv4Prefix{10.0.0.0/8}", TEN),
        ("$$IPv6Prefix{fe80::/127}", Network(IPv6Address("fe80::"), IPv6Address("fe80::1"))),
        ("$$Binary_ID{$$int{7}}", 7),
        ("$$Binary_ID{$$IPv4Prefix{10.0.0.0/8}}", TEN),
    ],
)
def test_magic_string_is_replaced_by_what_it_stands_for(text: str, value: Any) -> None:
    assert replace_magic(text) == value


@pytest.mark.parametrize(
    "text", ["$$x{1}", "$$int{}", "$$int", "int{1}", "$$int{1", " $$int{1}", "$$int{1} "]
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert replace_magic(text) == text


def test_magic_strings_are_replaced_at_any_depth_also_inside_lists() -> None:
    query = {"$or": [{"a": {"$in": ["$$int{1}", ["$$int{2}"]]}}, {"b": "$$int{3}"}]}
    assert replace_magic(query) == {"$or": [{"a": {"$in": [1, [2]]}}, {"b": 3}]}


def test_keys_are_not_replaced() -> None:
    assert replace_magic({"$$int{1}": 1}) == {"$$int{1}": 1}


@pytest.mark.parametrize(
    "text",
    [
        "$$int{x}",
        "$$IPv4{::1}",
        "$$IPv6{10.0.0.1}",
        "$$MAC{00:11}",
        "$$Date{2020-01-01}",
        "$$Date{2020-01-01T00:00:00+00:00}",
        "$$DateTs{nan}",
        "$$DateTs{1e300}",
        "$$IPv4Prefix{10.0.0.1/8}",
        "$$IPv6Prefix{fe80::/129}",
        "$$Binary_ID{x}",
        "$$Binary_ID{$$int{x}}",
    ],
)
def test_wrong_content_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(QueryError, match=r"Invalid generic filter: .*: "):
        replace_magic([text])
