"""Values in the form that PostgreSQL takes and gives.

Its texts have no NUL. So in texts `\\x00` is stored as `\\x01\\x01` and `\\x01` as `\\x01\\x02`: different
texts stay different and in their order. Integers are always `bigint`, so that a statement is prepared once.
Keys of the index of current values are bytes that have the order of the keys: numbers, texts, bytes.
"""

import re
import struct
from typing import Any

from psycopg import Connection
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.types.numeric import Int8Dumper
from psycopg.types.string import StrDumperUnknown

from dp3.store.ports.snapshots import Key
from dp3.store.sql.index import INT_MAX, INT_MIN

NUMBER, TEXT, BYTES = b"\x01", b"\x02", b"\x03"

_ESCAPED_IN_JSON = re.compile(r"((?:^|[^\\])(?:\\\\)*)\\u0001\\u000([12])")


def escaped(text: str) -> str:
    """A text as it is stored."""
    if "\0" in text or "\x01" in text:
        return text.replace("\x01", "\x01\x02").replace("\0", "\x01\x01")
    return text


def unescaped(text: str) -> str:
    """The inverse of `escaped`."""
    return text.replace("\x01\x01", "\0").replace("\x01\x02", "\x01") if "\x01" in text else text


class _TextDumper(StrDumperUnknown):
    def dump(self, obj: str) -> Buffer | None:
        return super().dump(escaped(obj))


class _IntDumper(Int8Dumper):
    """Takes what no `bigint` is, too: the statement then fails."""


class _TextLoader(Loader):
    def load(self, data: Buffer) -> str:
        return unescaped(bytes(data).decode())


class _JsonLoader(Loader):
    """JSON that a statement has made stays a text, in which stored texts are told as JSON tells them."""

    def load(self, data: Buffer) -> str:
        text = bytes(data).decode()
        if "\\u0001" not in text:
            return text
        while (after := _ESCAPED_IN_JSON.sub(_unescaped_in_json, text)) != text:
            text = after
        return text.replace("\\u0001!", "\\u0001")


def _unescaped_in_json(match: re.Match[str]) -> str:
    return match[1] + ("\\u0000" if match[2] == "1" else "\\u0001!")


def prepare_connection(connection: Connection[Any]) -> None:
    """Have a connection take and give values in these forms."""
    adapters = connection.adapters
    adapters.register_dumper(str, _TextDumper)
    adapters.register_dumper(int, _IntDumper)
    for name in ("text", "varchar", "bpchar", "name"):
        adapters.register_loader(name, _TextLoader)
    adapters.register_loader("json", _JsonLoader)


# -- keys of the index -------------------------------------------------------------------------------------
def encoded_key(key: Key) -> bytes:
    """A key as it is stored. Numbers are the nearest float, then by how much an integer differs from it;
    equal numbers are equal."""
    if isinstance(key, str):
        return TEXT + escaped(key).encode()
    if isinstance(key, bytes):
        return BYTES + key
    nearest = float(key)
    rest = key - int(nearest) if isinstance(key, int) else 0
    bits: int = struct.unpack(">q", struct.pack(">d", nearest + 0.0))[0]
    ordered = bits ^ (1 << 63) if bits >= 0 else ~bits
    return NUMBER + struct.pack(">QH", ordered & (1 << 64) - 1, rest + 0x8000)


def decoded_key(data: bytes) -> Key:
    """The inverse of `encoded_key`; a number that is whole is an integer."""
    kind, content = data[:1], bytes(data[1:])
    if kind == TEXT:
        return unescaped(content.decode())
    if kind == BYTES:
        return content
    ordered, rest = struct.unpack(">QH", content)
    bits = ordered ^ (1 << 63) if ordered >> 63 else ~ordered & (1 << 64) - 1
    number: float = struct.unpack(">d", struct.pack(">Q", bits))[0]
    if number.is_integer() and INT_MIN <= number <= INT_MAX + 1:
        return int(number) + int(rest) - 0x8000
    return number
