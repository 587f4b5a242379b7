"""What snapshots need of the state, beside profiles: links, runs, stored rows, the index of current values.

Same rules as in `dp3.store.port`: times are microseconds since the epoch, everything of one call is one
transaction, rows of an entity are written by the worker that owns it or, within a component of linked
entities, by the owner of the component's smallest entity.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, TypeAlias

import msgspec

from dp3.model.wire import decode_value, encode_value
from dp3.store.port import DeadLetter, HookSums, Lease, LinkRow, OutboxRow
from dp3.store.stretches import decode_stretches

__all__ = [
    "Cleaned",
    "Edge",
    "Encoded",
    "Hex",
    "IndexKey",
    "Key",
    "LinkRow",
    "Node",
    "Observed",
    "Phase",
    "Profile",
    "Run",
    "SnapshotBatch",
    "SnapshotStore",
    "Stored",
    "StoredChunk",
    "StoredSnapshot",
    "WorkerRun",
    "decode_profile",
    "hex_of",
    "value_of",
]

Key = int | float | str | bytes
"""An index key; keys of one path compare as the values do: numbers and times as numbers, texts by code
point, addresses as packed bytes."""


Hex: TypeAlias = str
"""An encoded value as hexadecimal digits, which compare as its bytes do."""

Observed: TypeAlias = tuple[int, int, int, Hex, int]
"""Observations: `t1`, `t2` (µs), sum of confidences (10⁻⁹), value, how many. A plain tuple, because runs read
very many."""

Packed: TypeAlias = tuple[int, Hex, Hex]
"""Many data-points of one value: number of the attribute, value, encoded stretches."""

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
    observed: list[tuple[int, list[Observed]]] = []
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
    for attr, v, stretches in profile.packed:
        rows = observed.setdefault(attr, [])
        for t1, t2, c_sum, n in decode_stretches(bytes.fromhex(stretches)):
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


IndexKey: TypeAlias = tuple[int, Key, int]
"""One key in the index of current values: number of the path, key, entity."""


class Edge(NamedTuple):
    """A stored link; its ends are nodes: (entity type, eid) that occur in links, existing or not."""

    attr: int
    source: int
    target: int
    until: int


class Node(NamedTuple):
    """`entity` is the key of the entity, 0 if it does not exist."""

    id: int
    etype: int
    eid: str
    entity: int


class Phase(StrEnum):
    """Phases of a run; all workers complete one before any begins the next."""

    INIT = "init"
    WORK = "work"
    FINALIZE = "finalize"
    CLOSED = "closed"


class Run(NamedTuple):
    """One pass of snapshot creation. `time` is its moment for all values. `fingerprint` stands for model and
    hooks; `workers` is the number of worker processes. `status` is "", "complete" or "partial: why"."""

    id: int
    time: int
    phase: Phase
    fingerprint: str
    workers: int
    started: int
    updated: int
    status: str
    detail: dict[str, Any]


class WorkerRun(NamedTuple):
    """How far one worker is in a run: the phase it has completed ("" if none), where it is in its work
    (an opaque mark of the engine), counts, and what was missing."""

    run: int
    worker: int
    done: str
    mark: dict[str, Any]
    entities: int
    written: int
    failed: int
    updated: int


class StoredSnapshot(NamedTuple):
    """A row that holds from `run` on until the next row of the entity."""

    entity: int
    run: int
    doc: bytes


@dataclass(slots=True)
class SnapshotBatch:
    """A slice of a worker's work in a run. `keys_…`: what to add to and remove from the index of current
    values; `keys_renewed` are entities that have no other keys than those added. `due`: entity → when its
    values change by themselves (None: never). `missing`: entities that have no snapshot in this run although
    their partition was completed."""

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
    cut: list[tuple[int, int, int]] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    hooks: list[HookSums] = field(default_factory=list)


class Cleaned(NamedTuple):
    """What was removed: runs, and rows of snapshots. `more`: there may be more to be removed."""

    runs: int = 0
    rows: int = 0
    more: bool = False

    def and_then(self, then: "Cleaned") -> "Cleaned":
        """This and what was removed afterwards."""
        return Cleaned(self.runs + then.runs, self.rows + then.rows, then.more)


class SnapshotStore(Protocol):
    """Runs, rows, links and the index; implemented by the same object as `Store`."""

    # -- runs ----------------------------------------------------------------------------------------
    def begin_run(self, time: int, fingerprint: str, workers: int) -> Run | None:
        """Open a run, or None while another one is open or if one of this or a later time has been (so of
        workers that fire at the same tick one gets it). Ids grow with time, also in a state that was replaced
        by an older copy: tasks of hooks go to the log under them."""
        ...

    def open_run(self) -> Run | None: ...

    def last_runs(self, limit: int, before: int | None = None) -> list[Run]:
        """Newest first; those with an id < `before`."""
        ...

    def runs_begun(self, first: int, last: int, skip: int, limit: int, newest_first: bool) -> list[Run]:
        """Runs that began between two moments (µs, both inclusive)."""
        ...

    def worker_runs(self, run: int) -> list[WorkerRun]: ...

    def advance_run(
        self, run: int, phase: Phase, status: str, detail: Mapping[str, Any], void: bool = False
    ) -> None:
        """Go to the next phase; to CLOSED with a status. `detail` is added to what the run has. With `void`
        it counts as having completed no partition. Nothing happens if the run is in that or a later phase
        already."""
        ...

    def put_graph(self, lease: Lease, run: int, graph: bytes) -> None:
        """Keep which entities are linked in an open run (opaque, not empty), until it is closed. The first
        one that is complete counts, whoever it is from. Raises `LeaseLost`, `StoreFull`."""
        ...

    def graph(self, run: int) -> bytes | None:
        """The one that counts; None if there is none yet."""
        ...

    def cuts(self) -> dict[tuple[int, int], int]:
        """(partition, lane) → log offset up to which the latest complete work on the partition has seen the
        data; empty for partitions never worked on. Written by `write_snapshots` with its last slice, but
        only before FINALIZE: nobody waited for what came later."""
        ...

    def write_snapshots(self, lease: Lease, batch: SnapshotBatch) -> None:
        """Apply a slice. The same slice again changes nothing but counters and dead letters: outbox rows need
        a `source` above those of earlier slices in their partition and lane. What belongs to deleted entities
        is left out. Raises `LeaseLost`, `StoreFull`."""
        ...

    # -- cleaning ------------------------------------------------------------------------------------
    def raise_snapshot_horizon(self, lease: Lease, before: int) -> None:
        """Runs before the moment `before` (µs) are to go; not the newest complete one and those after it. The
        horizon never goes back. Raises `LeaseLost`, `StoreFull`."""
        ...

    def snapshot_horizon(self) -> int | None:
        """The time (µs) of the oldest run that is kept, None if none is to go."""
        ...

    def clean_snapshots(self, lease: Lease, max_rows: int) -> Cleaned:
        """Remove runs before the horizon and up to `max_rows` rows of own entities that no later run shows.
        From the horizon on, series stay as they are. Raises `LeaseLost`, `StoreFull`."""
        ...

    # -- what is to be done --------------------------------------------------------------------------
    def due_entities(self, lease: Lease, until: int, after: int, limit: int) -> list[int]:
        """Keys of own entities whose `due` is ≤ `until`, ascending, above `after`."""
        ...

    def own_entities(
        self, lease: Lease, etypes: Sequence[int], after: int, limit: int
    ) -> list[tuple[int, int, str]]:
        """(key, type, eid) of own entities of these types, ascending by key, above key `after`."""
        ...

    def entities_of(self, keys: Sequence[int]) -> dict[int, tuple[int, str, int]]:
        """key → (type, eid, created) of those that exist."""
        ...

    def profiles(self, keys: Sequence[int], whole: bool = False) -> dict[int, Encoded]:
        """The profiles of those of the entities that exist. Holds the interpreter's lock for a moment only:
        other threads can compute meanwhile."""
        ...

    def latest_rows(self, keys: Sequence[int]) -> dict[int, StoredSnapshot]:
        """The newest row of each entity that has one."""
        ...

    def remove_snapshots_of_types(self, keep: Sequence[int]) -> None:
        """Forget which rows are the latest, and the index, of all types but these. Older snapshots stay; from
        the open run on (the next one if none is) the entities have none, until they get a row again."""
        ...

    # -- links ---------------------------------------------------------------------------------------
    def edges(
        self, attrs: Sequence[int], until_after: int, after: tuple[int, int, int], limit: int
    ) -> list[Edge]:
        """Links through these relations that hold after `until_after`, by (attr, source, target)."""
        ...

    def nodes(self, ids: Sequence[int]) -> dict[int, Node]:
        """What nodes are, by id. Lets other threads compute meanwhile, as `profiles` does."""
        ...

    def incoming(
        self, targets: Sequence[tuple[int, str]], attrs: Sequence[int], at: int
    ) -> dict[tuple[int, str], list[tuple[int, int, str]]]:
        """(type, eid) of a target → (attr, source type, source eid) of existing sources whose link holds at
        `at` (until > at), sorted."""
        ...

    def link_targets_changed(self, attrs: Sequence[int], after: int, until: int) -> Iterable[tuple[int, str]]:
        """Targets of links through these relations that ended by themselves in (after, until], or that
        commits made, replaced or removed (also with their source) from `after` to `until`. The moment of
        the commit counts, not that of the log entry, so nothing is lost while workers are behind."""
        ...

    # -- readers -------------------------------------------------------------------------------------
    def snapshots_of(self, etype: str, eid: str) -> list[StoredSnapshot]:
        """All rows of an entity, oldest first."""
        ...

    def runs_between(self, first: int, last: int) -> list[Run]:
        """Closed runs with first ≤ time ≤ last, oldest first."""
        ...

    def covered(self, entity: int, runs: Sequence[int]) -> set[int]:
        """Those of the runs in which the entity's partition was completed, the entity is not missing and its
        type had snapshots."""
        ...
