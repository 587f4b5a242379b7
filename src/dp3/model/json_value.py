"""Free-form values (`json`, `special`, tags) brought into their wire form."""

import json
from collections.abc import Mapping
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from math import isfinite
from typing import Any, NoReturn

from pydantic import BaseModel

from dp3.model.errors import shown
from dp3.model.mac import MACAddress
from dp3.model.text import checked_text, ipv6_to_text, time_to_text
from dp3.model.wire import encode_value

MAX_DEPTH = 100
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


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
    if isinstance(value, IPv6Address):
        return checked_text(ipv6_to_text(value))
    if isinstance(value, IPv4Address | MACAddress):
        return str(value)
    if isinstance(value, datetime):
        return time_to_text(value)
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
