"""Removal of old history."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeAlias

from dp3.history.segments import PackedSegment
from dp3.store.ports.batches import EndedLink
from dp3.store.ports.entities import HistoryRow
from dp3.store.ports.leases import Lease

AT_ONCE = -1 << 62
"""`oldest` of a row that retention is to look at whatever its age is."""


FIRST_TAG, LAST_TAG = 0, (1 << 63) - 1
"""Tags of observations are between them."""


RowPlace: TypeAlias = tuple[int, int, int, int]
"""The place of a packed row: entity, attribute, tag, part."""


AgedPlace: TypeAlias = tuple[int, int, int, int]
"""A place in the order in which rows of an attribute are to be looked at: `oldest`, entity, tag, part."""


FIRST_AGED: AgedPlace = (-1 << 63, 0, 0, 0)
"""Before all rows."""


Scope: TypeAlias = tuple[int, int, int, int]
"""Values of an attribute of an entity that are looked at together: entity, attribute, first and last tag."""


class StoredRow(NamedTuple):
    """A packed row with its segments. `v` is empty if it was not asked for."""

    place: RowPlace
    oldest: int
    v: bytes
    segments: list[PackedSegment]

    @property
    def entity(self) -> int:
        """The key of the entity."""
        return self.place[0]


KeptRow: TypeAlias = tuple[int, int, bytes, RowPlace]
"""The rest of a packed row: `oldest`, number of data-points, segments as they are stored, place."""


class RetentionPass(NamedTuple):
    """Record of the pass that a worker began at `begun`; `done` is 0 as long as it is under way. Packed
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
    """Removal of old history. A pass of a worker: for each attribute with limits `aged`, then `stored_rows`
    or `scoped` of what it found, and `write` of what is left of these, in turns."""

    def aged(
        self, lease: Lease, attr: int, before: int, after: AgedPlace, limit: int
    ) -> tuple[list[RowPlace], AgedPlace | None]:
        """The own ones of the next rows of an attribute, of all workers, with `oldest` < `before` (µs), by
        entity and tag; and the place of the last row looked at (None: there are no rows). Looks at `limit`
        rows; some of them may be a little newer."""
        ...

    def stored_rows(self, places: Sequence[RowPlace]) -> list[StoredRow]:
        """Packed rows without their values, as far as they exist."""
        ...

    def scoped(self, scopes: Sequence[Scope], *, whole: bool) -> tuple[list[StoredRow], list[HistoryRow]]:
        """Everything in some scopes: packed rows, and observations of all values of their attributes that are
        not packed. Unless `whole`, large values are replaced: equal ones by the same."""
        ...

    def write(self, lease: Lease, slice_: RetentionSlice) -> None:
        """Apply a slice; tasks go to the outbox. Raises `LeaseLost`, `StoreFull`."""
        ...

    def last_pass(self, worker: int) -> RetentionPass | None:
        """The latest pass of a worker, under way or done."""
        ...

    def passes(self, limit: int) -> list[RetentionPass]:
        """The passes that began last, newest first."""
        ...
