"""The canonical form of values: text of addresses and times, and JSON of everything else.

Values on the wire, in the log and in the state have this form, so two that are equal are equal byte by byte.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from math import isfinite
from socket import AF_INET6, inet_ntop, inet_pton
from typing import Any, NoReturn

import msgspec
from pydantic import BaseModel

from dp3.model.durations import aware
from dp3.model.errors import Reject, shown
from dp3.model.mac import MAC_TEXT, MACAddress
from dp3.model.wire import encode_value

MAX_DEPTH = 100
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_match_ipv4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}").fullmatch
_match_ipv6 = re.compile(r"[0-9a-fA-F:]{2,39}").fullmatch
_match_mac = MAC_TEXT.fullmatch
_match_time = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
    r"(?:Z|[+-][01][0-9]:[0-5][0-9])?"
).fullmatch


def checked_text(text: str) -> str:
    """The text itself; `ValueError` if it holds a lone surrogate and so cannot be encoded."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"text holds a lone surrogate at position {error.start}") from None
    return text


def ipv6_to_text(address: IPv6Address) -> str:
    """RFC 5952 text, the same on every Python version: IPv4-mapped addresses end in dotted form."""
    text = _packed_ipv6_to_text(address.packed)
    return f"{text}%{address.scope_id}" if address.scope_id else text


def _packed_ipv6_to_text(packed: bytes) -> str:
    text = inet_ntop(AF_INET6, packed)
    if "." in text and not text.startswith("::ffff:"):
        # The C library also dots the deprecated IPv4-compatible addresses; RFC 5952 does not.
        high, low = packed[12:14].hex().lstrip("0"), packed[14:].hex().lstrip("0")
        return f"::{high}:{low or '0'}"
    return text


def time_to_text(moment: datetime) -> str:
    """RFC 3339 text in UTC, with six fraction digits if and only if they are not zero."""
    return aware(moment).astimezone(UTC).isoformat()[:-6] + "Z"


def time_from_text(text: str) -> datetime:
    """The inverse of `time_to_text`."""
    return datetime.fromisoformat(text)


def _is_canonical(text: str) -> bool:
    return len(text) == 20 and text[10] == "T" and text[19] == "Z"


def canonical_ipv4(text: str) -> str:
    """Canonical form of the usual text of an IPv4 address, else `Reject`."""
    if _match_ipv4(text):
        return text
    raise Reject


def canonical_ipv6(text: str) -> str:
    """Canonical form of the usual text of an IPv6 address (no scope, no dots), else `Reject`."""
    if not _match_ipv6(text):
        raise Reject
    try:
        return _packed_ipv6_to_text(inet_pton(AF_INET6, text))
    except OSError:
        raise Reject from None


def canonical_mac(text: str) -> str:
    """Canonical form of the text of a hardware address, else `Reject`."""
    if _match_mac(text):
        return text.lower().replace("-", ":")
    raise Reject


def canonical_time(text: str) -> str:
    """Canonical form of the usual text of a date-time (none or full zone), else `Reject`."""
    if not _match_time(text):
        raise Reject
    try:
        moment = datetime.fromisoformat(text)
        return text if _is_canonical(text) else time_to_text(moment)
    except (ValueError, OverflowError):
        raise Reject from None


TEXT_FORMS: Mapping[type, Callable[[Any], str]] = {
    IPv6Address: lambda address: checked_text(ipv6_to_text(address)),
    IPv4Address: str,
    MACAddress: str,
    datetime: time_to_text,
}
"""Classes of values that JSON does not have → their text."""


def json_value(value: Any, depth: int = 0) -> Any:
    """A copy of `value` that consists of wire values only.

    Addresses and times become text, sets sorted lists. Raises `ValueError` for what JSON cannot carry: NaN
    and infinity, integers beyond 64 bits, keys that are not text, text that cannot be encoded, other objects,
    and anything nested deeper than `MAX_DEPTH`.
    """
    kind = type(value)
    if kind is str:
        return checked_text(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return _checked_int(value)
    if kind is float:
        return _checked_float(value)
    if depth == MAX_DEPTH:
        raise ValueError(f"value is nested more than {MAX_DEPTH} levels deep")
    if kind is dict:
        return {_key(k): json_value(v, depth + 1) for k, v in value.items()}
    if kind is list:
        return [json_value(v, depth + 1) for v in value]
    return _other(value, depth)


def parse_json_container(text: str) -> Any:
    """The JSON object or array that `text` holds; `ValueError` for anything else."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError(f"value is nested more than {MAX_DEPTH} levels deep") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not allowed")


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise ValueError(f"keys must be text, got {shown(key)}")
    return checked_text(key)


def _checked_int(value: int) -> int:
    if INT64_MIN <= value <= INT64_MAX:
        return value
    raise ValueError("integer does not fit into 64 bits")


def _checked_float(value: float) -> float:
    if isfinite(value):
        return value + 0.0
    raise ValueError(f"{value} is not allowed, numbers must be finite")


def _other(value: Any, depth: int) -> Any:
    for cls, write in TEXT_FORMS.items():
        if isinstance(value, cls):
            return write(value)
    if isinstance(value, BaseModel | Mapping):
        return json_value(dict(value), depth)
    if isinstance(value, set | frozenset):
        return sorted((json_value(v, depth + 1) for v in value), key=encode_value)
    if isinstance(value, tuple | list):
        return [json_value(v, depth + 1) for v in value]
    return _scalar_subclass(value)


def _scalar_subclass(value: Any) -> Any:
    """The plain value of, say, a text enumeration."""
    if isinstance(value, str):
        return checked_text(str.__str__(value))
    if isinstance(value, int):
        return _checked_int(int(value))
    if isinstance(value, float):
        return _checked_float(float(value))
    raise ValueError(f"{type(value).__name__} has no JSON form")


def copied(value: Any) -> Any:
    """A copy of a wire value, so that hooks may change it in place."""
    if type(value) is dict:
        return {key: copied(item) for key, item in value.items()}
    if type(value) is list:
        return [copied(item) for item in value]
    return value


def encode_json(content: Any) -> bytes:
    """JSON text. What JSON or UTF-8 can not express (it may be part of a refused request) is replaced."""
    try:
        return msgspec.json.encode(content, enc_hook=str)
    except (UnicodeEncodeError, RecursionError):
        return json.dumps(_printable(content, 0), default=str, allow_nan=False).encode()


def size_problem(value: Any, largest: int) -> str:
    """The problem of a value of more than `largest` bytes of JSON; empty if it has no more."""
    # Six bytes: a control character, escaped. No number has as many as the smallest limit that makes sense.
    if isinstance(value, str) and 6 * len(value) + 2 <= largest:
        return ""
    if not isinstance(value, str | list | dict) or (size := len(encode_json(value))) <= largest:
        return ""
    return f"the value has {size} bytes of JSON, more than {largest} (max_value)"


def _printable(value: Any, depth: int) -> Any:
    if depth > 100:
        return "…"
    if isinstance(value, Mapping):
        return {str(key): _printable(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(item, depth + 1) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    return value
