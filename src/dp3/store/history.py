"""What packing of history needs of the state.

Same rules as in `dp3.store.port`. What comes in is *fresh*: a row for each data-point, in the order of the
log. *Packed* rows hold many data-points of one value, in the order of entities. A data-point is in one of
them; readers see both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple, Protocol

from dp3.store.port import Lease
from dp3.store.stretches import Stretch


class Subject(NamedTuple):
    """Whose history: a value of an attribute of an entity (its key). `tag` stands for the value, below 0 for
    timeseries; different values may share one."""

    entity: int
    attr: int
    tag: int


def tag_of(v: bytes, timeseries: bool) -> int:
    """The tag of an encoded value."""
    tag = int.from_bytes(blake2b(v, digest_size=8).digest()) >> 1
    return ~tag if timeseries else tag


class FreshGroup(NamedTuple):
    """Fresh data-points of one value."""

    entity: int
    attr: int
    v: bytes
    timeseries: bool
    stretches: list[Stretch]


class PackedRow(NamedTuple):
    """Some data-points of one value. Rows of one subject differ in `part`; `oldest` is the smallest `t2`,
    `points` the number of data-points."""

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
        return Subject(*self[:3])


class Place(NamedTuple):
    """A fresh row by its key, and the bytes of its value."""

    key: int
    size: int


class Scan(NamedTuple):
    """Own fresh rows in the order of entity and attribute, of those up to the key `last` (None: there are no
    rows)."""

    places: list[Place]
    last: int | None


@dataclass(slots=True)
class PackBatch:
    """A slice of packing: fresh rows (keys) that go, and packed rows that are put in their place."""

    fresh: Sequence[int] = ()
    rows: Sequence[PackedRow] = ()


class HistoryStore(Protocol):
    """Implemented by the same object as `Store`."""

    def packed_until(self, lease: Lease) -> dict[int, int]:
        """Lane → the key up to which all fresh rows of own partitions have been packed; not those without."""
        ...

    def begin_packing(self, lease: Lease, lane: int, until: int) -> None:
        """Fresh rows of own partitions are going to be packed up to a key. Entries with such keys have been
        applied; when they come again they add nothing. Raises `LeaseLost`, `StoreFull`."""
        ...

    def end_packing(self, lease: Lease, lane: int, until: int) -> None:
        """All of them are packed, up to that key. Raises `LeaseLost`, `StoreFull`."""
        ...

    def scan_fresh(self, lease: Lease, after: int, until: int, limit: int) -> Scan:
        """The own ones of the next `limit` fresh rows of all workers with after < key ≤ until."""
        ...

    def fresh_groups(self, keys: Sequence[int]) -> list[FreshGroup]:
        """The data-points of fresh rows, by value; rows that are gone are left out."""
        ...

    def last_parts(self, subjects: Sequence[Subject]) -> dict[Subject, PackedRow]:
        """The packed rows with the largest `part`, as far as there are any."""
        ...

    def write_packed(self, lease: Lease, batch: PackBatch) -> None:
        """Apply a slice. Raises `LeaseLost`, `StoreFull`."""
        ...
