"""Ends of lifetimes: entities that are due, references to them, and the tombstones of deleted ones."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeAlias

from dp3.store.ports.batches import Tombstone
from dp3.store.ports.entities import HistoryRow, PlainRow
from dp3.store.ports.history import PackedRow
from dp3.store.ports.leases import Lease

NOT_BEFORE_NEXT = 1 << 62
"""Expiry check of an entity whose tokens are not to be checked before there is another one."""


class Collection(NamedTuple):
    """Record of the collection that a worker (of `workers`) began at `begun`. `phase` is `ttl`, `weak`
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


DueEntity: TypeAlias = tuple[int, int, str, list[tuple[str, int]]]
"""An entity whose tokens are to be checked: key, type, eid, and (token, until) of each."""


class Candidate(NamedTuple):
    """A weak entity that nothing refers to. If it was the same at the collection before, `since` is the first
    one in a row, and `main` and `derived` where the log ended then; else they are 0."""

    entity: int
    etype: int
    eid: str
    since: int
    main: int
    derived: int


@dataclass(slots=True)
class CollectionSlice:
    """A slice of a collection. `expiry_checks`: entity → when to check again; `unreferenced`: what is known
    of those of (`after`, `last`], as (entity, since, main, derived); what was known of others there is
    forgotten. `tasks` are `encode_tasks` of one log entry, empty if there are none."""

    record: Collection
    tasks: bytes = b""
    tokens_removed: list[tuple[int, str]] = field(default_factory=list)
    expiry_checks: dict[int, int] = field(default_factory=dict)
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


class Referrer(NamedTuple):
    """An entity that has, or had, a link through an attribute; `source` is a place in the order of these."""

    attr: int
    source: int
    etype: str
    eid: str
    attr_name: str


@dataclass(slots=True)
class SweepSlice:
    """Progress with some tombstones: `moved` (id, attr, source), `told` and `removed` are ids."""

    tasks: bytes = b""
    moved: list[tuple[int, int, int]] = field(default_factory=list)
    told: list[int] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)


class Lifetimes(Protocol):
    """Ends of lifetimes: entities that are due, references to them, and the tombstones of deleted ones."""

    # -- collections: `due_tokens` and `weak_entities` partition by partition, a slice after each
    def last_collection(self, worker: int) -> Collection | None:
        """The latest collection of a worker, under way or done; asked when the worker starts."""
        ...

    def collections(self, limit: int) -> list[Collection]:
        """The collections that began last, newest first."""
        ...

    def due_tokens(self, partition: int, moment: int, limit: int) -> list[DueEntity]:
        """Entities of a partition whose tokens are to be checked before a moment (µs)."""
        ...

    def weak_entities(
        self, etypes: Sequence[int], after: int, end: int, moment: int, limit: int
    ) -> tuple[int, int, list[Candidate]]:
        """(last, looked, found): the next `limit` entities (of all types) with keys between two (both
        excluded) end with the key `last` (0: there is none) and are `looked` many; found are those of these
        types that no link refers to that holds after a moment (µs)."""
        ...

    def write_collection(self, lease: Lease, slice_: CollectionSlice) -> None:
        """Apply a slice; tasks go to the outbox. Raises `LeaseLost`, `StoreFull`."""
        ...

    # -- asked when system tasks are applied
    def expired(self, wanted: Sequence[tuple[int, int]]) -> set[int]:
        """The given (entity, moment) pairs that have tokens, all of them over at the moment, and that were
        created until then."""
        ...

    def created_until(self, wanted: Sequence[tuple[int, int]]) -> set[int]:
        """The given (entity, moment) pairs that exist and were created until the moment."""
        ...

    def plain_values(self, places: Sequence[tuple[int, int]]) -> list[PlainRow]:
        """The values of plain attributes, given as (entity, attr)."""
        ...

    def history_page(self, starts: Sequence[tuple[int, int, int]], limit: int) -> list[HistoryRow]:
        """The next rows of the history of some attributes, given as (entity, attr, key after which to begin;
        -1 is below all): in the order of these, then of keys."""
        ...

    def packed_page(self, starts: Sequence[tuple[int, int, int, int]], limit: int) -> list[PackedRow]:
        """The same of packed rows; the places after which to begin are (entity, attr, tag, part)."""
        ...

    def packing_begun(self, partitions: Iterable[int]) -> dict[int, list[int]]:
        """The keys up to which packing of partitions has begun, of those where it has."""
        ...

    # -- tombstones
    def oldest_bounds(self) -> tuple[int, int] | None:
        """The smallest offsets in the main and the derived lane up to which any tombstone holds; None if
        there are no tombstones."""
        ...

    def tombstones(self, lease: Lease, limit: int) -> list[PendingTombstone]:
        """Own tombstones for which not all were told, the oldest first."""
        ...

    def referrers(self, pending: Sequence[PendingTombstone], limit: int) -> list[tuple[int, Referrer]]:
        """The next entities that may have links to deleted ones, each with the id of the tombstone; in the
        order of the tombstones."""
        ...

    def write_sweep(self, lease: Lease, slice_: SweepSlice) -> None:
        """Apply a slice; tasks go to the outbox. Raises `LeaseLost`, `StoreFull`."""
        ...

    def forget_tombstones(self, lease: Lease, derived: int, limit: int) -> int:
        """Forget some own tombstones that nobody needs, now that everybody has read the derived lane up to an
        offset; returns how many. Raises `LeaseLost`, `StoreFull`."""
        ...
