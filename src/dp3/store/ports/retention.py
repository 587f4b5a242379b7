"""Removal of old history."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from dp3.history.packed import PackedSegment
from dp3.store.ports.batches import EndedLink
from dp3.store.ports.leases import Lease

AT_ONCE = -1 << 62
"""`oldest` of a row that retention is to look at whatever its age is."""


FIRST_TAG, LAST_TAG = 0, (1 << 63) - 1
"""Tags of observations are between them."""


class RowPlace(NamedTuple):
    """Which packed row."""

    entity: int
    attr: int
    tag: int
    part: int


class AgedPlace(NamedTuple):
    """A place in the order in which rows of an attribute are to be looked at."""

    oldest: int
    entity: int
    tag: int
    part: int


FIRST_AGED = AgedPlace(-1 << 63, 0, 0, 0)
"""Before all rows."""


class AgedPage(NamedTuple):
    """Own rows, by entity and tag, of those up to the place `last` (None: there are no rows)."""

    rows: list[RowPlace]
    last: AgedPlace | None


class Scope(NamedTuple):
    """Values of an attribute of an entity, with tags from one to another, that are looked at together."""

    entity: int
    attr: int
    first_tag: int
    last_tag: int


class StoredRow(NamedTuple):
    """A packed row. `v` is empty if it was not asked for."""

    place: RowPlace
    oldest: int
    v: bytes
    segments: list[PackedSegment]


class FreshPoint(NamedTuple):
    """An observation that is not packed yet."""

    entity: int
    attr: int
    t1: int
    t2: int
    c: int
    v: bytes


class Scoped(NamedTuple):
    """All there is of some scopes; `fresh` are those of all values of their attributes."""

    packed: list[StoredRow]
    fresh: list[FreshPoint]


class KeptRow(NamedTuple):
    """What is left of a packed row, as it is stored."""

    oldest: int
    points: int
    segments: bytes
    place: RowPlace


class RetentionPass(NamedTuple):
    """What a worker did in the pass that it began at `begun`; `done` is 0 as long as it is under way. Packed
    `rows` that were looked at, and data-points (`points`) that were removed."""

    worker: int
    begun: int
    updated: int
    done: int = 0
    rows: int = 0
    points: int = 0


@dataclass(slots=True)
class RetentionSlice:
    """A slice of a pass: rows that go, rows of which something is left, links that end with their
    observations. `tasks` are `encode_tasks` of one log entry, empty if there are none."""

    record: RetentionPass
    removed: list[RowPlace] = field(default_factory=list)
    kept: list[KeptRow] = field(default_factory=list)
    links_ended: list[EndedLink] = field(default_factory=list)
    tasks: bytes = b""
    points: int = 0


class Retention(Protocol):
    """Removal of old history."""

    def aged(self, lease: Lease, attr: int, before: int, after: AgedPlace, limit: int) -> AgedPage:
        """The own ones of the next rows of an attribute, of all workers, with `oldest` < `before`. Looks at
        `limit` rows; some of them may be a little newer."""
        ...

    def stored_rows(self, places: Sequence[RowPlace]) -> list[StoredRow]:
        """Packed rows without their values, as far as they exist."""
        ...

    def scoped(self, scopes: Sequence[Scope], *, whole: bool) -> Scoped:
        """Everything in some scopes. Unless `whole`, large values are replaced: equal ones by the same."""
        ...

    def write(self, lease: Lease, slice_: RetentionSlice, stream: int) -> None:
        """Apply a slice; tasks go to the outbox in this stream of the worker. Raises `LeaseLost`,
        `StoreFull`."""
        ...

    def last_pass(self, worker: int) -> RetentionPass | None:
        """The latest pass of a worker, under way or done."""
        ...

    def passes(self, limit: int) -> list[RetentionPass]:
        """The passes that began last, newest first."""
        ...
