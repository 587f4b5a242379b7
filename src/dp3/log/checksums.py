"""Checksums of what the log stores. They cover the place, too: an entry elsewhere is a damaged one."""

import struct
from zlib import crc32

import msgspec

_ENTRY = struct.Struct("<B5q")


def entry_checksum(
    lane: int, offset: int, order: int, append_time: int, latest: int, total: int, body: bytes
) -> int:
    """CRC-32 of an entry: all of its columns, then its body."""
    return crc32(body, crc32(_ENTRY.pack(lane, offset, order, append_time, latest, total)))


def row_checksum(lane: int, *values: int | str | bytes) -> int:
    """CRC-32 of any other row of a lane.

    >>> row_checksum(0, 1, 2) == row_checksum(0, 12)
    False
    """
    return crc32(msgspec.msgpack.encode((lane, *values)))
