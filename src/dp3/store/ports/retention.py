"""Removal of old history."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeAlias

import msgspec

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


class AgedPage(NamedTuple):
    """Rows of an attribute that are to be looked at, by `oldest` and place. `last` is the place of the last
    row that was looked at, None if there are no more. All rows of the entities up to `complete_entity` with
    an `oldest` before `complete_before` were found with this page or an earlier one; of other entities those
    before `others_before`."""

    rows: list["AgedRow"]
    last: AgedPlace | None
    complete_entity: int = 0
    complete_before: int = 0
    others_before: int = 0

    def limit(self, entity: int, before: int) -> int:
        """The moment, up to `before`, before which all rows of an entity are known."""
        return min(before, self.complete_before if entity <= self.complete_entity else self.others_before)


AgedRow: TypeAlias = tuple[int, int, int, int, int]
"""The place of a packed row (`RowPlace`) and its `oldest`."""


class StoredRow(msgspec.Struct, frozen=True, gc=False):
    """A packed row with its segments, and how many data-points they stand for. None begins before `first`; if
    it is None, before `oldest`."""

    place: RowPlace
    oldest: int
    v: bytes
    segments: list[PackedSegment]
    first: int | None = None
    points: int = 0

    @property
    def entity(self) -> int:
        """The key of the entity."""
        return self.place[0]

    @property
    def is_timeseries(self) -> bool:
        """True for chunks of timeseries."""
        return self.place[2] < FIRST_TAG

    @property
    def begin(self) -> int:
        """No segment begins before (µs)."""
        return self.oldest if self.first is None else self.first


KeptRow: TypeAlias = tuple[int, int | None, int, int, bytes, RowPlace]
"""The rest of a packed row: `oldest`, `first`, `last`, number of data-points, segments as they are stored,
place."""


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
    observations. `tasks` are `encode_tasks` of one log entry, empty if there are none. `scans_until`:
    (entity, attribute) of observations that are gone → up to which moment (µs) scans may know them."""

    record: RetentionPass
    removed: list[RowPlace] = field(default_factory=list)
    kept: list[KeptRow] = field(default_factory=list)
    links_ended: list[EndedLink] = field(default_factory=list)
    tasks: bytes = b""
    points: int = 0
    scans_until: dict[tuple[int, int], int] = field(default_factory=dict)


class Retention(Protocol):
    """Removal of old history. A pass of a worker: for each attribute with limits `aged`, then what it found
    and what matters for it, and `write` of what is left, in turns. Rows come with large values replaced,
    equal ones by the same, where only that counts."""

    def aged(self, lease: Lease, attr: int, before: int, after: AgedPlace, limit: int) -> AgedPage:
        """The own ones of the next rows of an attribute, of all workers, with `oldest` < `before` (µs), by
        entity and tag. Looks at `limit` rows, and at all of the last entity that are about as old; some of
        them may be a little newer."""
        ...

    def stored_rows(self, rows: Sequence[AgedRow]) -> list[StoredRow]:
        """Packed rows, as far as they exist, in the order in which they are asked for."""
        ...

    def begun_before(self, scopes: Sequence[tuple[Scope, int]]) -> list[StoredRow]:
        """The rows of scopes that began before a moment (µs), but are not to be looked at before it."""
        ...

    def begun_between(self, scope: Scope, first: int, last: int, limit: int) -> list[StoredRow]:
        """The rows of a scope that are not to be looked at before `first` and began between two moments (µs,
        both inclusive), `limit` of those that began first, in this order."""
        ...

    def unpacked(self, attrs: Iterable[tuple[int, int]]) -> list[HistoryRow]:
        """Observations of attributes (entity, attribute) that are not packed."""
        ...

    def scoped(self, scopes: Sequence[Scope], *, whole: bool) -> tuple[list[StoredRow], list[HistoryRow]]:
        """Everything in some scopes: packed rows, and observations of all values of their attributes that are
        not packed. With `whole` large values are not replaced."""
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
