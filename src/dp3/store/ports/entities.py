"""Entities and their profiles."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import msgspec

from dp3.history.packed import PackedSegment, decode_segments
from dp3.history.segments import SegmentRow
from dp3.model.wire import decode_value, encode_value
from dp3.store.ports.leases import Lease

ENTITY_SHIFT = 40


class NewEntity(NamedTuple):
    key: int
    etype: int
    eid: str
    created: int


class Existing(NamedTuple):
    key: int
    created: int


class PlainRow(NamedTuple):
    """The value of a plain attribute; `written` is the append time of its log entry. A row is replaced
    only by one with a `written` that is not smaller."""

    entity: int
    attr: int
    written: int
    v: bytes


class HistoryRow(NamedTuple):
    """One observation or timeseries data-point. `key` identifies it in the log (see `history_key`);
    writing the same key again replaces the row. `c` is None for timeseries."""

    key: int
    entity: int
    attr: int
    t1: int
    t2: int
    c: int | None
    v: bytes


class PackedHistory(NamedTuple):
    """Data-points of one value of an attribute, several of them in one segment."""

    attr: int
    v: bytes
    segments: list[PackedSegment]


class ProfileRows(NamedTuple):
    """All rows of one entity; `history` in ascending `key`, `packed` is the rest of it."""

    created: int
    plain: list[PlainRow]
    history: list[HistoryRow]
    ttl: dict[str, int]
    packed: list[PackedHistory]


Hex: TypeAlias = str
"""An encoded value as hexadecimal digits, which compare as its bytes do."""


Packed: TypeAlias = tuple[int, Hex, Hex]
"""Many data-points of one value: number of the attribute, value, encoded segments."""


Stored: TypeAlias = tuple[int, int, Hex]
"""A plain value: number of the attribute, when it was written (µs), value."""


StoredChunk: TypeAlias = tuple[int, int, int, Hex]
"""One data-point of a timeseries: number of the attribute, `t1`, `t2` (µs), value."""


class Profile(msgspec.Struct, array_like=True, frozen=True):
    """What snapshots of an entity are made of: `observed` by attribute, in any order; `chunks` and `ttl` only
    if the whole was asked for."""

    key: int
    created: int
    plain: list[Stored] = []
    observed: list[tuple[int, list[SegmentRow[Hex]]]] = []
    packed: list[Packed] = []
    chunks: list[StoredChunk] = []
    ttl: dict[str, int] = {}


Encoded: TypeAlias = str
"""A profile that is still to be decoded, just before it is used: until then it is one object."""


_decode_profile: Callable[[Encoded], Profile] = msgspec.json.Decoder(Profile).decode


def decode_profile(encoded: Encoded) -> Profile:
    """The profile, with all that was packed among the rest."""
    profile = _decode_profile(encoded)
    return _unpacked(profile) if profile.packed else profile


def _unpacked(profile: Profile) -> Profile:
    observed, chunks = dict(profile.observed), profile.chunks
    for attr, v, segments in profile.packed:
        rows = observed.setdefault(attr, [])
        for t1, t2, c_sum, n in decode_segments(bytes.fromhex(segments)):
            if c_sum is None:
                chunks.append((attr, t1, t2, v))
            else:
                rows.append((t1, t2, c_sum, v, n))
    present = [(attr, rows) for attr, rows in observed.items() if rows]
    return msgspec.structs.replace(profile, observed=present, packed=[], chunks=chunks)


def hex_of(value: Any) -> Hex:
    """The stored form of a wire value."""
    return encode_value(value).hex().upper()


def value_of(stored: Hex) -> Any:
    """The inverse of `hex_of`."""
    return decode_value(bytes.fromhex(stored))


class Entities(Protocol):
    """Entities and their profiles."""

    def find(self, wanted: Sequence[tuple[int, str]]) -> dict[tuple[int, str], Existing]:
        """Those of the (etype number, eid text) pairs that exist."""
        ...

    def last_keys(self) -> dict[int, int]:
        """The highest entity key ever used in each partition that has any (deleted ones included)."""
        ...

    def profile(self, etype: str, eid: str, attr: str | None = None) -> ProfileRows | None:
        """Rows of one entity (of one attribute if given), or None if it does not exist. Links to entities
        that were deleted since do not show, here and wherever profiles are read."""
        ...

    def page(self, etype: str, limit: int, after: str | None = None) -> list[tuple[int, str, int]]:
        """(key, eid, created) of up to `limit` entities of a type, by eid as text, of those after `after`."""
        ...

    def counts(self) -> dict[str, int]:
        """Number of entities by type."""
        ...

    def own(self, lease: Lease, etypes: Sequence[int], after: int, limit: int) -> list[tuple[int, int, str]]:
        """(key, type, eid) of own entities of these types, ascending by key, above key `after`."""
        ...

    def by_key(self, keys: Sequence[int]) -> dict[int, tuple[int, str, int]]:
        """key → (type, eid, created) of those that exist."""
        ...

    def profiles(self, keys: Sequence[int], whole: bool = False) -> dict[int, Encoded]:
        """The profiles of those of the entities that exist. Holds the interpreter's lock for a moment only:
        other threads can compute meanwhile."""
        ...

    def count_between(self, etype: int, after: int, end: int) -> int:
        """How many entities of a type have keys between two (both excluded)."""
        ...

    def between(self, etype: int, after: int, end: int, limit: int) -> list[tuple[int, str]]:
        """(key, eid) of up to `limit` entities of a type with keys between two (both excluded), ascending."""
        ...

    def range_after(self, after: int, limit: int) -> tuple[int, int] | None:
        """The first and the last key of the next up to `limit` entities above `after`."""
        ...

    def collect_garbage(self, lease: Lease, max_rows: int) -> bool:
        """Remove up to `max_rows` rows of deleted entities; True when there may be more."""
        ...
