"""Coding of packed history: the segments of one value as one row of numbers. Pure."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import msgspec

PackedSegment: TypeAlias = tuple[int, int, int | None, int]
"""A segment without its value: `t1`, `t2` (µs), sum of confidences (10⁻⁹; None for data-points of timeseries)
and number of data-points. A plain tuple, because there are very many."""

_encode = msgspec.msgpack.Encoder().encode
_decode: Callable[[bytes], list[int]] = msgspec.msgpack.Decoder(list[int | None]).decode  # type: ignore[assignment]


def encode_segments(segments: Iterable[PackedSegment]) -> bytes:
    """The stored form: each `t1` as the distance to the one before, `t2` as the length."""
    numbers: list[int | None] = []
    before = 0
    for t1, t2, c_sum, n in segments:
        numbers += (t1 - before, t2 - t1, c_sum, n)
        before = t1
    return _encode(numbers)


def decode_segments(encoded: bytes) -> Iterator[PackedSegment]:
    """The inverse of `encode_segments`."""
    numbers = iter(_decode(encoded))
    t1 = 0
    for distance, length, c_sum, n in zip(numbers, numbers, numbers, numbers, strict=True):
        t1 += distance
        yield t1, t1 + length, c_sum, n
