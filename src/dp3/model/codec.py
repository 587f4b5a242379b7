"""Codecs: how the values of one data type are validated and brought into and out of wire form."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from math import isfinite
from typing import Annotated, Any

from pydantic import AfterValidator, Field
from pydantic_core import PydanticKnownError

from dp3.model.durations import AwareDatetime
from dp3.model.errors import Reject
from dp3.model.json_value import INT64_MAX, INT64_MIN, json_value, parse_json_container
from dp3.model.mac import MACAddress
from dp3.model.text import (
    canonical_ipv4,
    canonical_ipv6,
    canonical_mac,
    canonical_time,
    checked_text,
    ipv6_to_text,
    time_from_text,
    time_to_text,
)

Converter = Callable[[Any], Any]

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


@dataclass(frozen=True, slots=True)
class Codec:
    """The compiled form of one data type.

    `annotation` is what pydantic validates a value with (lax mode). `accept` takes a JSON-decoded value to
    its wire form or raises `Reject`; it never accepts what `annotation` refuses, nor with another result.
    `to_wire` raises `ValueError` for what is not a value of the type; `from_wire` trusts its input.
    """

    annotation: Any
    accept: Converter
    to_wire: Converter
    from_wire: Converter


def identity(value: Any) -> Any:
    """The value itself."""
    return value


def _accept_bool(value: Any) -> bool:
    if value is True or value is False:
        return value
    raise Reject


def _accept_str(value: Any) -> str:
    if type(value) is not str:
        raise Reject
    if value.isascii():
        return value
    try:
        return checked_text(value)
    except ValueError:
        raise Reject from None


def _int_acceptor(low: int, high: int) -> Converter:
    def accept_int(value: Any) -> int:
        if type(value) is int and low <= value <= high:
            return value
        raise Reject

    return accept_int


def _accept_float(value: Any) -> float:
    if type(value) is float and isfinite(value):
        return value + 0.0  # turns -0.0, which equals 0.0, into 0.0
    if type(value) is int and INT64_MIN <= value <= INT64_MAX:
        return float(value)
    raise Reject


def _text_acceptor(canonical: Callable[[str], str]) -> Converter:
    def accept_text(value: Any) -> str:
        if type(value) is str:
            return canonical(value)
        raise Reject

    return accept_text


def _typed_writer(kind: type, write: Converter) -> Converter:
    def to_wire(value: Any) -> Any:
        if isinstance(value, kind):
            return write(value)
        raise Reject(f"expected {kind.__name__}, got {type(value).__name__}")

    return to_wire


def _free(value: Any) -> Any:
    return json_value(value)


def _accept_free(value: Any) -> Any:
    try:
        return json_value(value)
    except ValueError as error:
        raise Reject(str(error)) from None


def _accept_json(value: Any) -> Any:
    if type(value) is dict or type(value) is list:
        return _accept_free(value)
    raise Reject


def _json_container(value: Any) -> Any:
    """A JSON object or array; text is parsed first."""
    parsed = value
    if isinstance(value, str | bytes):
        try:
            parsed = parse_json_container(value if isinstance(value, str) else value.decode())
        except ValueError as error:
            raise PydanticKnownError("json_invalid", {"error": str(error)}) from None
    container = json_value(parsed)
    if not isinstance(container, dict | list):
        raise ValueError("Input should be a JSON object or array, or the text of one")
    return container


def _checked_ipv6(address: IPv6Address) -> IPv6Address:
    checked_text(address.scope_id or "")
    return address


def _plain(annotation: Any, accept: Converter) -> Codec:
    """The codec of a type whose typed and wire forms are the same."""
    return Codec(annotation, accept, accept, identity)


def _textual(
    kind: type, canonical: Callable[[str], str], write: Converter, read: Converter, annotation: Any
) -> Codec:
    return Codec(annotation, _text_acceptor(canonical), _typed_writer(kind, write), read)


Text = Annotated[str, AfterValidator(checked_text)]
Int32 = Annotated[int, Field(ge=INT32_MIN, le=INT32_MAX)]
Int64 = Annotated[int, Field(ge=INT64_MIN, le=INT64_MAX)]
FiniteFloat = Annotated[float, Field(allow_inf_nan=False)]
IPv6 = Annotated[IPv6Address, AfterValidator(_checked_ipv6)]
Json = Annotated[Any, AfterValidator(_json_container)]
Special = Annotated[Any, AfterValidator(_free)]

_BOOL = _plain(bool, _accept_bool)
_STRING = _plain(Text, _accept_str)
_INT64 = _plain(Int64, _int_acceptor(INT64_MIN, INT64_MAX))
_IPV4 = _textual(IPv4Address, canonical_ipv4, str, IPv4Address, IPv4Address)
_IPV6 = _textual(IPv6Address, canonical_ipv6, ipv6_to_text, IPv6Address, IPv6)
_MAC = _textual(MACAddress, canonical_mac, str, MACAddress, MACAddress)

PRIMITIVE_CODECS = {
    "tag": _BOOL,
    "binary": _BOOL,
    "string": _STRING,
    "int": _plain(Int32, _int_acceptor(INT32_MIN, INT32_MAX)),
    "int64": _INT64,
    "float": _plain(FiniteFloat, _accept_float),
    "ipv4": _IPV4,
    "ipv6": _IPV6,
    "mac": _MAC,
    "time": _textual(datetime, canonical_time, time_to_text, time_from_text, AwareDatetime),
    "special": _plain(Special, _accept_free),
    "json": _plain(Json, _accept_json),
}

EID_CODECS = {"string": _STRING, "int": _INT64, "ipv4": _IPV4, "ipv6": _IPV6, "mac": _MAC}
