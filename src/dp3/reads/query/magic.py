"""Magic strings: texts in a JSON filter that stand for values which JSON can not express.

| text | stands for |
|---|---|
| `$$int{7}` | an integer |
| `$$IPv4{10.0.0.1}`, `$$IPv6{::1}`, `$$MAC{00:11:22:33:44:55}` | an address |
| `$$Date{2020-01-01T00:00:00Z}`, `$$DateTs{1577836800.5}` | a time, in seconds or milliseconds |
| `$$IPv4Prefix{10.0.0.0/8}`, `$$IPv6Prefix{fe80::/10}` | all addresses of a network |
| `$$Binary_ID{…}` around one of them | the entity with this id, or the entities with these ids |
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

from dp3.clock import to_datetime
from dp3.model.mac import MACAddress
from dp3.model.unix_time import unix_us
from dp3.reads.errors import QueryError


@dataclass(frozen=True, slots=True)
class Network:
    """All addresses from `first` to `last`."""

    first: IPv4Address | IPv6Address
    last: IPv4Address | IPv6Address


_match = re.compile(r"\$\$(\w+)\{(.+)\}", re.DOTALL).fullmatch


def replace_magic(value: Any) -> Any:
    """A copy of a decoded JSON value in which magic strings are replaced, at any depth.

    Other texts that begin with `$$` stay as they are. Raises `QueryError` if the content of a magic
    string is wrong.
    """
    if isinstance(value, str):
        return _replace(value) if value.startswith("$$") else value
    if isinstance(value, dict):
        return {key: replace_magic(item) for key, item in value.items()}
    if isinstance(value, list):
        return [replace_magic(item) for item in value]
    return value


def _replace(text: str) -> Any:
    match = _match(text)
    if match is None or match[1] not in _READERS:
        return text
    try:
        return _READERS[match[1]](match[2])
    except (ValueError, OverflowError) as error:
        raise QueryError(f"Invalid generic filter: {text[:80]}: {error}") from None


def _date(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _timestamp(text: str) -> datetime:
    return to_datetime(unix_us(float(text)))


def _ipv4_network(text: str) -> Network:
    network = IPv4Network(text)
    return Network(network.network_address, network.broadcast_address)


def _ipv6_network(text: str) -> Network:
    network = IPv6Network(text)
    return Network(network.network_address, network.broadcast_address)


def _binary_id(text: str) -> Any:
    found = _replace(text) if text.startswith("$$") else text
    if isinstance(found, str):
        raise ValueError("expected a magic string such as $$IPv4{10.0.0.1} inside")
    return found


_READERS: dict[str, Callable[[str], Any]] = {
    "int": int,
    "IPv4": IPv4Address,
    "IPv6": IPv6Address,
    "MAC": MACAddress,
    "Date": _date,
    "DateTs": _timestamp,
    "IPv4Prefix": _ipv4_network,
    "IPv6Prefix": _ipv6_network,
    "Binary_ID": _binary_id,
}
