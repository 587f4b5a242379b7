"""Ends of lifetimes: what is due, who is referred to, whom the deletion of others concerns."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from dp3.store.ports.batches import Tombstone
from dp3.store.ports.entities import HistoryRow, PlainRow
from dp3.store.ports.leases import Lease

NOT_BEFORE_NEXT = 1 << 62
"""`look` of an entity whose tokens are not to be looked at before there is another one."""


class Collection(NamedTuple):
    """What a worker (of `workers`) did in the collection that it began at `begun`. `phase` is `ttl`, `weak`
    or `done`; the entity with the key `after` was the last one looked at in it. Counts: entities `looked` at;
    those found `expired` and `unreferenced`, which are deleted next; single `tokens` removed."""

    worker: int
    begun: int
    workers: int
    updated: int
    phase: str
    after: int
    looked: int = 0
    expired: int = 0
    unreferenced: int = 0
    tokens: int = 0


class Due(NamedTuple):
    """An entity whose tokens are to be looked at."""

    entity: int
    etype: int
    eid: str
    tokens: list[tuple[str, int]]


class Candidate(NamedTuple):
    """A weak entity that nothing refers to. If it was the same at the collection before, `since` is the first
    one in a row, and `main` and `derived` where the log ended then; else they are 0."""

    entity: int
    etype: int
    eid: str
    since: int
    main: int
    derived: int


class WeakPage(NamedTuple):
    """Weak entities without references among the next ones, the last of which has the key `last` (0: there
    was none)."""

    last: int
    looked: int
    candidates: list[Candidate]


@dataclass(slots=True)
class CollectionSlice:
    """A slice of a collection. `looks`: entity → when to look again; `unreferenced`: what is known of those
    of (`after`, `last`], as (entity, since, main, derived); what was known of others there is forgotten.
    `tasks` are `encode_tasks` of one log entry, empty if there are none."""

    record: Collection
    tasks: bytes = b""
    tokens_removed: list[tuple[int, str]] = field(default_factory=list)
    looks: dict[int, int] = field(default_factory=dict)
    after: int = 0
    last: int = 0
    unreferenced: list[tuple[int, int, int, int]] = field(default_factory=list)


class PendingTombstone(NamedTuple):
    """A tombstone, the name of its entity type, and up to where those who have links were told. `linked`:
    there may be such."""

    id: int
    etype: str
    tombstone: Tombstone
    attr: int
    source: int
    linked: int


PackedPlace = tuple[int, int]
"""Tag and part: the place of a packed row among those of an attribute of an entity."""


class PackedValue(NamedTuple):
    """A packed row; its data-points as they are stored."""

    place: PackedPlace
    v: bytes
    segments: bytes


class Referrer(NamedTuple):
    """An entity that has, or had, a link through an attribute; `source` is a place in the order of these."""

    attr: int
    source: int
    etype: str
    eid: str
    attr_name: str


@dataclass(slots=True)
class SweepSlice:
    """What became of some tombstones: `moved` (id, attr, source), `told` and `removed` are ids."""

    tasks: bytes = b""
    moved: list[tuple[int, int, int]] = field(default_factory=list)
    told: list[int] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)


class Lifetimes(Protocol):
    """Ends of lifetimes: what is due, who is referred to, whom the deletion of others concerns."""

    def last_collection(self, worker: int) -> Collection | None:
        """The latest collection of a worker, under way or done."""
        ...

    def collections(self, limit: int) -> list[Collection]:
        """The collections that began last, newest first."""
        ...

    def due_tokens(self, partition: int, moment: int, limit: int) -> list[Due]:
        """Entities of a partition that are to be looked at before a moment."""
        ...

    def weak_entities(self, etypes: Sequence[int], after: int, end: int, moment: int, limit: int) -> WeakPage:
        """Those of the next `limit` entities (of all types) with keys between two (both excluded) that are of
        these types and that no link refers to that holds after a moment."""
        ...

    def write_collection(self, lease: Lease, slice_: CollectionSlice, stream: int) -> None:
        """Apply a slice; tasks go to the outbox in this stream of the worker. Raises `LeaseLost`,
        `StoreFull`."""
        ...

    def expired(self, wanted: Sequence[tuple[int, int]]) -> set[int]:
        """Those of the (entity, moment) that have tokens, all of them over at the moment, and that were
        created until then."""
        ...

    def created_until(self, wanted: Sequence[tuple[int, int]]) -> set[int]:
        """Those of the (entity, moment) that exist and were created until the moment."""
        ...

    def plain_value(self, entity: int, attr: int) -> PlainRow | None:
        """The value of a plain attribute."""
        ...

    def history_page(self, entity: int, attr: int, after: int, limit: int) -> list[HistoryRow]:
        """Rows of an attribute's history with a key above `after` (-1 is below all), ascending."""
        ...

    def packed_page(self, entity: int, attr: int, after: PackedPlace, limit: int) -> list[PackedValue]:
        """The next packed rows of an attribute of an entity, in the order of their places."""
        ...

    def packing_begun(self, entity: int) -> list[int]:
        """The keys up to which packing of the partition of an entity has begun."""
        ...

    def oldest_bounds(self) -> tuple[int, int] | None:
        """The smallest offsets in the main and the derived lane up to which any tombstone holds."""
        ...

    def tombstones(self, lease: Lease, limit: int) -> list[PendingTombstone]:
        """Own tombstones for which not all were told, the oldest first."""
        ...

    def referrers(self, grave: PendingTombstone, limit: int) -> list[Referrer]:
        """The next entities that may have links to a deleted one."""
        ...

    def write_sweep(self, lease: Lease, slice_: SweepSlice, stream: int) -> None:
        """As `write_collection`."""
        ...

    def forget_tombstones(self, lease: Lease, derived: int, limit: int) -> int:
        """Forget some own tombstones that nobody needs, now that everybody has read the derived lane up to an
        offset; returns how many. Raises `LeaseLost`, `StoreFull`."""
        ...
