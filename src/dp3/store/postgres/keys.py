"""Keys of the index of current values, as bytes that have the order of the keys: numbers, texts, bytes."""

import struct

from dp3.postgres.values import escaped, unescaped
from dp3.store.ports.snapshots import Key
from dp3.store.sql.index import INT_MAX, INT_MIN

NUMBER, TEXT, BYTES = b"\x01", b"\x02", b"\x03"


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
