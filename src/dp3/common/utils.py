"""Small functions for modules: batches, times, numbers, names."""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from itertools import islice
from typing import Any, TypeVar

from dp3.hooks.registration import get_func_name, get_stable_func_name
from dp3.model.durations import parse_time_duration

__all__ = [
    "batched",
    "bytes2int",
    "conv_from_json",
    "conv_to_json",
    "entity_expired",
    "get_func_name",
    "get_stable_func_name",
    "int2bytes",
    "int2ipstr",
    "ipstr2int",
    "parse_rfc_time",
    "parse_time_duration",
    "suppress_dependency_loggers",
    "time_duration_pattern",
]

T = TypeVar("T")

time_duration_pattern = re.compile(r"^\s*(\d+)([smhd])?$")
"""Digits and a unit, or digits alone (of which only `0` is a duration)."""

_RFC_TIME = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?([Zz]|[+-]\d{2}:\d{2})?", re.ASCII
)
_NOISY_LOGGERS = ("requests", "urllib3", "amqpstorm", "pymongo")


def batched(iterable: Iterable[T], n: int) -> Iterator[list[T]]:
    """Lists of `n` items, the last one possibly shorter. Raises `ValueError` when `n` is below 1.

    >>> list(batched("abc", 2))
    [['a', 'b'], ['c']]
    """
    if n < 1:
        raise ValueError(f"n must be at least one, got {n}")
    return _batches(iter(iterable), n)


def _batches(items: Iterator[T], n: int) -> Iterator[list[T]]:
    while batch := list(islice(items, n)):
        yield batch


def parse_rfc_time(time_str: str) -> datetime:
    """An RFC 3339 date-time as a naive date-time in UTC, which it is taken for if it has no zone; digits
    beyond microseconds are cut.

    Raises `ValueError` for anything else.

    >>> parse_rfc_time("2020-01-01T02:00:00.5+02:00")
    datetime.datetime(2020, 1, 1, 0, 0, 0, 500000)
    """
    found = _RFC_TIME.fullmatch(time_str)
    if found is None:
        raise ValueError(f"Expected a time such as '2020-01-01T00:00:00Z', got {time_str!r}")
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    micros = (fraction or "")[:6].ljust(6, "0")
    offset = "+00:00" if zone is None or zone in "Zz" else zone
    local = datetime.fromisoformat(f"{year}-{month}-{day}T{hour}:{minute}:{second}.{micros}{offset}")
    return local.astimezone(UTC).replace(tzinfo=None)


def entity_expired(utcnow: datetime, master_document: Mapping[str, Any]) -> bool:
    """True if the record has TTL tokens (`#ttl`) and all of them are before `utcnow`."""
    return "#ttl" in master_document and all(expiry < utcnow for expiry in master_document["#ttl"].values())


def ipstr2int(address: str) -> int:
    """An IPv4 address as a number.

    >>> ipstr2int("0.0.1.2")
    258
    """
    return int(IPv4Address(address))


def int2ipstr(number: int) -> str:
    """The IPv4 address of a number."""
    return str(IPv4Address(number))


def int2bytes(number: int) -> bytes:
    """The shortest signed big-endian form of a number.

    >>> int2bytes(-129)
    b'\\xff\\x7f'
    """
    magnitude = number if number >= 0 else ~number
    return number.to_bytes(magnitude.bit_length() // 8 + 1, "big", signed=True)


def bytes2int(data: bytes) -> int:
    """The number of a signed big-endian form."""
    return int.from_bytes(data, "big", signed=True)


def conv_to_json(obj: object) -> dict[str, str]:
    """For `json.dumps(default=…)`: times as `{"$datetime": …}`, durations as
    `{"$timedelta": "days,seconds,microseconds"}`.

    Raises `TypeError` for other objects.
    """
    if isinstance(obj, datetime):
        return {"$datetime": obj.isoformat()}
    if isinstance(obj, timedelta):
        return {"$timedelta": f"{obj.days},{obj.seconds},{obj.microseconds}"}
    raise TypeError(f"{obj!r} is not JSON serializable")


def conv_from_json(dct: dict[str, Any]) -> Any:
    """For `json.loads(object_hook=…)`: the reverse of `conv_to_json`; other objects are left alone."""
    if "$datetime" in dct:
        return datetime.fromisoformat(dct["$datetime"])
    if "$timedelta" in dct:
        days, seconds, micros = map(int, dct["$timedelta"].split(","))
        return timedelta(days, seconds, micros)
    return dct


def suppress_dependency_loggers() -> None:
    """Let chatty libraries log warnings only."""
    for name in _NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
