"""How history is packed: the stretches of one value as one row of numbers. Pure."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import msgspec

Stretch: TypeAlias = tuple[int, int, int | None, int]
"""`t1`, `t2` (µs), sum of confidences (10⁻⁹; None for timeseries) and number of data-points. A plain tuple,
because there are very many."""

_encode = msgspec.msgpack.Encoder().encode
_decode: Callable[[bytes], list[int]] = msgspec.msgpack.Decoder(list[int | None]).decode  # type: ignore[assignment]


def encode_stretches(stretches: Iterable[Stretch]) -> bytes:
    """The stored form: each `t1` as the distance to the one before, `t2` as the length."""
    numbers: list[int | None] = []
    before = 0
    for t1, t2, c_sum, n in stretches:
        numbers += (t1 - before, t2 - t1, c_sum, n)
        before = t1
    return _encode(numbers)


def decode_stretches(encoded: bytes) -> Iterator[Stretch]:
    """The inverse of `encode_stretches`."""
    numbers = _decode(encoded)
    t1 = 0
    for at in range(0, len(numbers), 4):
        distance, length, c_sum, n = numbers[at : at + 4]
        t1 += distance
        yield t1, t1 + length, c_sum, n
