"""Packing of history: fresh rows become packed ones, many data-points of one value in each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple, Protocol, TypeAlias

from dp3.history.scan import Scan
from dp3.history.segments import PackedSegment, Params, SegmentRow
from dp3.store.ports.entities import Token
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
"""The content of a data-point: key, t1, t2, confidence, encoded value."""


class PackedRow(NamedTuple):
    """Some data-points of one value. Rows of one subject differ in `part`; `points` is the number of
    data-points, `segments` their packed form. `oldest` is the smallest `t1`, of timeseries the smallest `t2`,
    until retention has left a row: then it is not after the time to look at it again. No segment begins
    before `first`, which is None for rows that are not full and that retention has not left; none ends after
    `last`, which is None for the last row of a subject, to which more may be added."""

    entity: int
    attr: int
    tag: int
    part: int
    oldest: int
    points: int
    v: bytes
    segments: bytes
    first: int | None = None
    last: int | None = None

    @property
    def subject(self) -> Subject:
        """The owner of the history."""
        return self[:3]


class RecentRow(NamedTuple):
    """The scan (`encode_scan`) at `at` over all that is packed of an attribute of an entity. None: what is
    packed has to be read, and the scan is to be made, not before `at`. An `at` below 0 is at once; so much
    (µs) later than others came rows that made it necessary. `told`: what it tells
    (`encode_told`) from `told_at` until before `told_until` (µs)."""

    entity: int
    attr: int
    at: int
    scan: str | None
    told_at: int | None = None
    told_until: int | None = None
    told: str | None = None


class FormerRow(NamedTuple):
    """The scan at an earlier moment, without rows."""

    entity: int
    attr: int
    at: int
    scan: str


@dataclass(slots=True)
class ScanChanges:
    """Scans that are new or change with packed rows. `outdated`: (entity, attribute, moment) of rows that
    scans at later moments do not know. `longer`: the same of segments that begin then and have become longer:
    scans that were kept at later moments know only a part of them."""

    recent: list[RecentRow] = field(default_factory=list)
    former: list[FormerRow] = field(default_factory=list)
    outdated: list[tuple[int, int, int]] = field(default_factory=list)
    longer: list[tuple[int, int, int]] = field(default_factory=list)


class PackedHistorySince(NamedTuple):
    """The packed history of an attribute of an entity: a scan at a moment, if there is one, and the rows that
    begin then or later."""

    scan: Scan[Token] | None
    rows: list[SegmentRow[Token]]


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
        self,
        lease: Lease,
        after: FreshPlace,
        last: FreshPlace,
        until: PackUntil,
        rows: Sequence[PackedRow],
        scans: ScanChanges,
    ) -> None:
        """Put packed rows in the place of the fresh ones of a page: those of the partition with after < place
        ≤ last, as far as they are to be packed. Raises `LeaseLost`, `StoreFull`."""
        ...

    def recent(self, attrs: Sequence[tuple[int, int]]) -> dict[tuple[int, int], RecentRow]:
        """The scans of attributes of entities, as far as anything of them is packed."""
        ...

    def scans_to_make(self, lease: Lease, partition: int, now: int, limit: int) -> list[RecentRow]:
        """Some attributes whose scan is to be made."""
        ...

    def packed_since(self, entity: int, attr: int, params: Params) -> PackedHistorySince:
        """The packed history, from the last scan that is kept for readers of the past, if it was made with
        these parameters."""
        ...

    def put_scans(self, lease: Lease, scans: ScanChanges) -> None:
        """Keep scans that were made from what is packed. Raises `LeaseLost`, `StoreFull`."""
        ...

    def trim_incoming(self, lease: Lease, lane: int, limit: int) -> int:
        """Forget the contents of data-points that all partitions have packed, the first `limit` of a lane;
        returns how many it were. Raises `LeaseLost`, `StoreFull`."""
        ...
