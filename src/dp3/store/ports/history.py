"""Packing of history: fresh rows become packed ones, many data-points of one value in each."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple, Protocol, TypeAlias

from dp3.history.segments import PackedSegment
from dp3.store.ports.leases import Lease


def history_key(lane: int, offset: int, number: int) -> int:
    """The identity of data-point `number` of a log entry: 1 bit lane, 38 bits offset, 24 bits number.

    The lane comes first so that what a lane brought since some position is one range of keys."""
    return lane << 62 | offset << 24 | number


def lane_of(key: int) -> int:
    """The lane of a `history_key`."""
    return key >> 62


Subject: TypeAlias = tuple[int, int, int]
"""The owner of a history: entity (its key), attribute and tag. The tag stands for the value, below 0 for
timeseries; different values may share one. A plain tuple, because there are very many."""


def tag_of(v: bytes, timeseries: bool) -> int:
    """The tag of an encoded value."""
    tag = int.from_bytes(blake2b(v, digest_size=8).digest()) >> 1
    return ~tag if timeseries else tag


FreshValues: TypeAlias = dict[Subject, list[tuple[bytes, list[PackedSegment]]]]
"""Fresh data-points: of each subject its values (more than one if they share a tag) with their segments."""


FreshPlace: TypeAlias = tuple[int, int, int]
"""The place of a fresh row in their order: entity, attribute, key."""


IncomingRow: TypeAlias = tuple[int, int, int, int | None, bytes]
"""What a data-point says: key, t1, t2, confidence, encoded value."""


class PackedRow(NamedTuple):
    """Some data-points of one value. Rows of one subject differ in `part`; `oldest` is the smallest `t2`,
    `points` the number of data-points, `segments` their packed form."""

    entity: int
    attr: int
    tag: int
    part: int
    oldest: int
    points: int
    v: bytes
    segments: bytes

    @property
    def subject(self) -> Subject:
        """The owner of the history."""
        return self[:3]


PackUntil = Mapping[int, int]
"""Lane → the largest key that is packed."""


class FreshPage(NamedTuple):
    """Data-points that are to be packed, and how many; how many rows were looked at, and the last of them."""

    values: FreshValues
    packable: int
    rows: int
    last: FreshPlace | None


class History(Protocol):
    """Packing of history. A pass of a worker: `begin_packing`, for each own partition `fresh_page`,
    `last_parts` and `pack` in turns, `end_packing`, `trim_incoming` until there is nothing more."""

    def packed_until(self, lease: Lease) -> dict[int, int]:
        """Lane → the key up to which everything is packed in all own partitions; -1 is nothing."""
        ...

    def begin_packing(self, lease: Lease, until: PackUntil) -> None:
        """Fresh rows of own partitions are going to be packed up to a key. Entries with such keys have been
        applied. Raises `LeaseLost`, `StoreFull`."""
        ...

    def end_packing(self, lease: Lease, until: PackUntil) -> None:
        """All of them are packed, up to that key. Raises `LeaseLost`, `StoreFull`."""
        ...

    def fresh_page(self, after: FreshPlace, until: PackUntil, limit: int, max_bytes: int) -> FreshPage:
        """The next fresh rows of the partition of `after`, up to `limit`; fewer, but at least one, if those
        with large values have more than `max_bytes` together."""
        ...

    def last_parts(self, subjects: Sequence[Subject]) -> dict[Subject, PackedRow]:
        """The packed rows with the largest `part`, as far as there are any."""
        ...

    def pack(
        self, lease: Lease, after: FreshPlace, last: FreshPlace, until: PackUntil, rows: Sequence[PackedRow]
    ) -> None:
        """Put packed rows in the place of the fresh ones of a page: those of the partition with after < place
        ≤ last, as far as they are to be packed. Raises `LeaseLost`, `StoreFull`."""
        ...

    def trim_incoming(self, lease: Lease, lane: int, limit: int) -> int:
        """Forget the contents of data-points that all partitions have packed, the first `limit` of a lane;
        returns how many it were. Raises `LeaseLost`, `StoreFull`."""
        ...
