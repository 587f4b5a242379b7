"""The body of an entry: slices per partition in one run of bytes.

A header (number of slices as u16, then partition u16 and length u32 of each, all little-endian) and the
slices one after another. A reader takes the slices of its partitions without touching the others.

A body that is large is stored compressed: the number 65535 (u16), which is no number of slices, the length of
the body (u32), and a frame of Zstandard.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping

import zstandard

MAX_PARTITION = 0xFFFF

SMALLEST_COMPRESSED = 1 << 10
"""Bytes of a body: fewer gain little, and the compressor costs 12 us each time."""

LEVEL = 1
"""Data-points of `dp3 bench ingest`, 68 bytes each, become 23 bytes in 0.16 us, and come back in 0.07."""

_COUNT = struct.Struct("<H")
_COMPRESSED = struct.Struct("<HI")
_MARK = 0xFFFF
_SLICE = struct.Struct("<HI")


class Slices(Mapping[int, bytes]):
    """The slices of a body by partition; a slice is copied out when it is asked for."""

    __slots__ = ("_body", "_spans")

    def __init__(self, body: bytes, spans: dict[int, tuple[int, int]]) -> None:
        self._body = body
        self._spans = spans

    def __getitem__(self, partition: int) -> bytes:
        start, end = self._spans[partition]
        return self._body[start:end]

    def __iter__(self) -> Iterator[int]:
        return iter(self._spans)

    def __len__(self) -> int:
        return len(self._spans)

    def __repr__(self) -> str:
        lengths = ", ".join(
            f"{partition}: {end - start} B" for partition, (start, end) in self._spans.items()
        )
        return f"Slices({{{lengths}}})"


def frame(slices: Mapping[int, bytes]) -> bytes:
    """The body that holds `slices`, in their order: fewer than 65535, of partitions 0 … 65535."""
    header = [_COUNT.pack(len(slices))]
    header += [_SLICE.pack(partition, len(part)) for partition, part in slices.items()]
    return b"".join((*header, *slices.values()))


def unframe(body: bytes) -> Slices:
    """The inverse of `frame`. Raises ValueError when `body` is not of this form."""
    try:
        (count,) = _COUNT.unpack_from(body)
        start = _COUNT.size + count * _SLICE.size
        spans: dict[int, tuple[int, int]] = {}
        for partition, length in _SLICE.iter_unpack(body[_COUNT.size : start]):
            spans[partition] = (start, start + length)
            start += length
    except struct.error as error:
        raise ValueError(f"damaged body of {len(body)} bytes: {error}") from None
    if start != len(body) or len(spans) != count:
        raise ValueError(f"damaged body: {count} slices should end at byte {start}, it has {len(body)} bytes")
    return Slices(body, spans)


def stored_form(body: bytes) -> bytes:
    """A body as it is stored."""
    if len(body) < SMALLEST_COMPRESSED:
        return body
    compressed = zstandard.ZstdCompressor(level=LEVEL).compress(body)
    stored = _COMPRESSED.pack(_MARK, len(body)) + compressed
    return stored if len(stored) < len(body) else body


def body_of(stored: bytes) -> bytes:
    """The inverse of `stored_form`. Raises ValueError when `stored` is not of this form."""
    if len(stored) < _COMPRESSED.size or _COUNT.unpack_from(stored)[0] != _MARK:
        return stored
    _, size = _COMPRESSED.unpack_from(stored)
    compressed = stored[_COMPRESSED.size :]
    try:
        told = zstandard.frame_content_size(compressed)  # as much memory is taken before anything is read
        if told == size:
            return zstandard.ZstdDecompressor().decompress(compressed)
    except zstandard.ZstdError as error:
        raise ValueError(f"damaged body of {len(stored)} bytes, compressed: {error}") from None
    raise ValueError(f"damaged body, compressed: it should have {size} bytes, its frame says {told}")


def merge_slices(parts: Iterable[Mapping[int, bytes]]) -> dict[int, bytes]:
    """One mapping with the tasks of all `parts` by partition, in order; slices are `encode_tasks(...)`."""
    by_partition: dict[int, list[bytes]] = {}
    for part in parts:
        for partition, tasks in part.items():
            by_partition.setdefault(partition, []).append(tasks)
    return {partition: _join_arrays(arrays) for partition, arrays in by_partition.items()}


def _join_arrays(arrays: list[bytes]) -> bytes:
    """One msgpack array with the items of all, which are not decoded."""
    if len(arrays) == 1:
        return arrays[0]
    count, items = 0, []
    for array in arrays:
        length, start = _array_header(array)
        count += length
        items.append(array[start:])
    return b"".join((_pack_array_header(count), *items))


def _array_header(array: bytes) -> tuple[int, int]:
    """Number of items of a msgpack array and where they begin."""
    kind = array[0] if array else None
    if kind is not None and kind & 0xF0 == 0x90:
        return kind & 0x0F, 1
    if kind == 0xDC:
        return int.from_bytes(array[1:3], "big"), 3
    if kind == 0xDD:
        return int.from_bytes(array[1:5], "big"), 5
    raise ValueError(f"a slice must be an encoded list of tasks, got {array[:8]!r}")


def _pack_array_header(count: int) -> bytes:
    if count < 16:
        return bytes((0x90 | count,))
    if count < 1 << 16:
        return b"\xdc" + count.to_bytes(2, "big")
    return b"\xdd" + count.to_bytes(4, "big")
