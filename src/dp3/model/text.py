"""The canonical text of addresses and times."""

import re
from datetime import UTC, datetime
from ipaddress import IPv6Address
from socket import AF_INET6, inet_ntop, inet_pton

from dp3.model.durations import aware
from dp3.model.errors import Reject
from dp3.model.mac import MAC_TEXT

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
