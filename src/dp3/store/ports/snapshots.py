"""Stored snapshots, the index of current values, and the removal of old ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeAlias

from dp3.store.ports.batches import OutboxRow
from dp3.store.ports.counters import HookSums
from dp3.store.ports.dead_letters import DeadLetter
from dp3.store.ports.leases import Lease
from dp3.store.ports.runs import WorkerRun

Key = int | float | str | bytes
"""An index key; keys of one path compare as the values do: numbers and times as numbers, texts by code
point, addresses as packed bytes."""


IndexKey: TypeAlias = tuple[int, Key, int]
"""One key in the index of current values: number of the path, key, entity."""


class StoredSnapshot(NamedTuple):
    """A row that holds from `run` on until the next row of the entity."""

    entity: int
    run: int
    doc: bytes


@dataclass(slots=True)
class SnapshotBatch:
    """A slice of a worker's work in a run. `keys_…`: what to add to (each key once) and remove from the index
    of current values; `keys_renewed` are entities that have no other keys than those added. `due`: entity →
    when its values change by themselves (None: never). `missing`: entities that have no snapshot in this run
    although their partition was completed. `progress`, and with the last slice `watermarks` (partition, lane,
    offset of the log that was seen), say how far the worker is."""

    run: int
    rows: list[StoredSnapshot] = field(default_factory=list)
    keys_added: list[IndexKey] = field(default_factory=list)
    keys_removed: list[IndexKey] = field(default_factory=list)
    keys_renewed: list[int] = field(default_factory=list)
    due: dict[int, int | None] = field(default_factory=dict)
    missing: list[int] = field(default_factory=list)
    outbox: list[OutboxRow] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    progress: WorkerRun | None = None
    watermarks: list[tuple[int, int, int]] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    hooks: list[HookSums] = field(default_factory=list)


class Cleaned(NamedTuple):
    """Counts of a removal: runs, and rows of snapshots. `more`: there may be more to be removed."""

    runs: int = 0
    rows: int = 0
    more: bool = False

    def and_then(self, then: "Cleaned") -> "Cleaned":
        """This and what was removed afterwards."""
        return Cleaned(self.runs + then.runs, self.rows + then.rows, then.more)


class Snapshots(Protocol):
    """Stored snapshots and the index of current values."""

    def write(self, lease: Lease, batch: SnapshotBatch) -> None:
        """Apply a slice; called by a worker after each part of its work. The same slice again changes nothing
        but counters and dead letters: outbox rows need a `source` above those of earlier slices in their
        partition and stream. What belongs to deleted entities is left out. Raises `LeaseLost`,
        `StoreFull`."""
        ...

    def due(self, lease: Lease, until: int, after: int, limit: int) -> list[int]:
        """Keys of own entities whose `due` is ≤ `until`, ascending, above `after`."""
        ...

    def latest(self, keys: Sequence[int]) -> dict[int, bytes]:
        """The document of the newest row of each entity that has one."""
        ...

    def remove_types(self, keep: Sequence[int]) -> None:
        """Forget which rows are the latest, and the index, of all types but these. Older snapshots stay; from
        the open run on (the next one if none is) the entities have none, until they get a row again. Called
        when a worker starts. Raises `StoreFull`."""
        ...

    def of(self, etype: str, eid: str) -> list[StoredSnapshot]:
        """All rows of an entity, oldest first."""
        ...


class SnapshotCleaning(Protocol):
    """Removal of old runs and of snapshots that only they show."""

    def raise_horizon(self, lease: Lease, before: int, now: int) -> None:
        """Runs before the moment `before` (µs) are to go; not the newest complete one and those after it. The
        horizon never goes back. Raises `LeaseLost`, `StoreFull`."""
        ...

    def horizon(self) -> int | None:
        """The time (µs) of the oldest run that is kept, None if none is to go."""
        ...

    def clean(self, lease: Lease, max_rows: int) -> Cleaned:
        """Remove runs before the horizon and up to `max_rows` rows of own entities that no later run shows.
        From the horizon on, series stay as they are. Raises `LeaseLost`, `StoreFull`."""
        ...
