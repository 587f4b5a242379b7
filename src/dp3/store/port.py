"""The state: profiles, positions, outbox and everything that must change together with them.

Profiles are changed only by `Store.commit`, one transaction per batch, by the worker that owns the
partition. Entities have an integer key made by the owner: `partition << 40 | running number`.
Times are microseconds since the epoch, confidences units of 10⁻⁹, values `encode_value(...)` bytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from dp3.store.stretches import Stretch

ENTITY_SHIFT = 40


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


class PlainRow(NamedTuple):
    """The value of a plain attribute; `written` is the append time of its log entry. A row is replaced
    only by one with a `written` that is not smaller."""

    entity: int
    attr: int
    written: int
    v: bytes


class NewEntity(NamedTuple):
    key: int
    etype: int
    eid: str
    created: int


class LinkRow(NamedTuple):
    """`source` (entity key) refers to `target` through the relation `attr` until `until`.

    `replaces`: a plain relation. All its rows of one source in a batch are its whole new value: other links
    of the source through `attr` end at `written` (the append time of the log entry), and rows with an older
    `written` than stored ones do nothing. Its emptied value is one row with `NO_TARGET`.
    Otherwise an observation: the larger `until` of this and an equal link stays."""

    source: int
    attr: int
    target_etype: int
    target_eid: str
    until: int
    written: int
    replaces: bool


NO_TARGET = (0, "")
"""`target_etype` and `target_eid` of a plain relation that refers to nothing any more."""


class Tombstone(NamedTuple):
    """An entity was deleted at `at` (an append time), so links to it that are older have to go: those of
    entries up to the offset `main` or `derived` of their lane. `partition` is that of the entity."""

    etype: int
    eid: str
    partition: int
    at: int
    main: int
    derived: int


class EndedLink(NamedTuple):
    """The link of `source` (entity key) through `attr` holds until `until` at most: its target is gone."""

    source: int
    attr: int
    target_etype: int
    target_eid: str
    until: int


class OutboxRow(NamedTuple):
    """Tasks produced by one source entry in one of its partitions. `source` is the entry's offset, `after_us`
    its append time, `tasks` `encode_tasks` of all of them (not yet split by target partition)."""

    partition: int
    lane: int
    source: int
    after_us: int
    tasks: bytes


class DeadLetter(NamedTuple):
    """What failed and why. `kind`: `hook`, `result` (what a hook returned), `task`, `generation` or `entry`.
    `task` is `encode_tasks([task])`, or empty when the log could not be decoded; `context` JSON-friendly
    detail such as the attribute."""

    time: int
    kind: str
    module: str
    hook: str
    partition: int
    etype: str
    eid: str
    reason: str
    traceback: str
    task: bytes
    context: dict[str, Any]


class StoredDeadLetter(NamedTuple):
    id: int
    letter: DeadLetter


class Refused(NamedTuple):
    """A task that an allow hook refused; `first` is its number in the entry."""

    lane: int
    offset: int
    first: int


class HookSums(NamedTuple):
    """What one hook did. `module`, `hook`, `family` and `context` (comma-separated) identify it."""

    module: str
    hook: str
    family: str
    context: str
    executions: int
    failures: int
    duration_ns: int
    created_tasks: int
    allowed: int
    denied: int


class SourceSums(NamedTuple):
    """Data-points of one source, and the latest end (µs) of their validity, None if they have none."""

    name: str
    points: int
    t2: int | None


@dataclass(slots=True)
class Batch:
    """Everything that one transaction changes, in the order of application: deleted entities, new
    entities, then rows. `positions` maps lane to the offset that all partitions of this worker reached.

    `ttl` is (entity, token, until), at most one of each pair; `looks` entity → when to look whether tokens
    are over, if not looked at before. `plain_removed` is (entity, attr), `history_removed` (entity, attr, key
    of a history row), `packed_removed` (entity, attr, tag, part of a packed one); `swept` (etype, eid, at of
    a tombstone, offset in the derived lane after which nobody needs it)."""

    positions: dict[int, int] = field(default_factory=dict)
    deleted: list[int] = field(default_factory=list)
    created: list[NewEntity] = field(default_factory=list)
    plain: list[PlainRow] = field(default_factory=list)
    history: list[HistoryRow] = field(default_factory=list)
    links: list[LinkRow] = field(default_factory=list)
    ttl: list[tuple[int, str, int]] = field(default_factory=list)
    looks: dict[int, int] = field(default_factory=dict)
    tombstones: list[Tombstone] = field(default_factory=list)
    plain_removed: list[tuple[int, int]] = field(default_factory=list)
    history_removed: list[tuple[int, int, int]] = field(default_factory=list)
    packed_removed: list[tuple[int, int, int, int]] = field(default_factory=list)
    links_ended: list[EndedLink] = field(default_factory=list)
    swept: list[tuple[int, str, int, int]] = field(default_factory=list)
    outbox: list[OutboxRow] = field(default_factory=list)
    outbox_drained: int | None = None
    dead_letters: list[DeadLetter] = field(default_factory=list)
    dead_letters_removed: list[int] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    hooks: list[HookSums] = field(default_factory=list)
    sources: list[SourceSums] = field(default_factory=list)
    control_done: list[tuple[int, dict[str, Any]]] = field(default_factory=list)


class Lease(NamedTuple):
    index: int  # type: ignore[assignment]  # hides tuple.index, which means nothing for a lease
    worker_processes: int
    epoch: int


class LeaseState(NamedTuple):
    """`status` is `starting`, `working`, or a sentence that says why the worker is not well."""

    lease: Lease
    host: str
    pid: int
    heartbeat: int
    status: str


class LeaseRefused(Exception):
    """Another live worker has this index, or live workers use another `worker_processes`."""


class LeaseLost(Exception):
    """The lease was taken over; nothing was written."""


class StoreFull(Exception):
    """The disk refused the commit; nothing was written."""


class ControlFull(Exception):
    """Too many messages wait for workers; nothing was written."""


class PendingOutbox(NamedTuple):
    rowid: int
    row: OutboxRow


class ControlMessage(NamedTuple):
    id: int
    action: str
    args: dict[str, Any]
    result: dict[str, Any] | None


class ControlProgress(NamedTuple):
    """How far a worker is with a message that takes long: what the sender is told, and an opaque mark."""

    message: int
    shown: dict[str, Any]
    mark: dict[str, Any]


class Existing(NamedTuple):
    key: int
    created: int


class PackedHistory(NamedTuple):
    """Data-points of one value of an attribute, several of them in one stretch."""

    attr: int
    v: bytes
    stretches: list[Stretch]


class ProfileRows(NamedTuple):
    """All rows of one entity; `history` in ascending `key`, `packed` is the rest of it."""

    created: int
    plain: list[PlainRow]
    history: list[HistoryRow]
    ttl: dict[str, int]
    packed: list[PackedHistory]


class Store(Protocol):
    """See the module's docstring. All methods are blocking; reads may come from any thread and see one
    committed state per call; `commit` is called by one thread of a worker."""

    partitions: int

    # -- names ---------------------------------------------------------------------------------------
    def etype_id(self, etype: str) -> int:
        """The number of an entity type, made when first asked for and never used again for another."""
        ...

    def attr_id(self, etype: str, attr: str) -> int:
        """The number of an attribute, likewise."""
        ...

    # -- the worker's side ---------------------------------------------------------------------------
    def take_lease(self, index: int, worker_processes: int, host: str, pid: int, ttl_s: float) -> Lease:
        """Become the owner of the partitions p ≡ index (mod worker_processes). Raises `LeaseRefused`.
        A holder on this host whose process is gone, or with a heartbeat older than `ttl_s`, is not alive.
        With another `worker_processes` than before, messages that still wait are given up: their receivers
        are not the same any more."""
        ...

    def heartbeat(self, lease: Lease, status: str, numbers: Mapping[str, float] | None = None) -> None:
        """Say that the worker is alive, with what it reports of itself. Raises `LeaseLost`."""
        ...

    def release_lease(self, lease: Lease) -> None: ...

    def leases(self) -> list[LeaseState]: ...

    def commit(self, lease: Lease, batch: Batch) -> None:
        """Apply a batch in one transaction. Raises `LeaseLost` or `StoreFull`; then nothing has changed."""
        ...

    def positions(self) -> list[tuple[int, int, int]]:
        """(partition, lane, offset reached) of all partitions and lanes."""
        ...

    def find_entities(self, wanted: Sequence[tuple[int, str]]) -> dict[tuple[int, str], Existing]:
        """Those of the (etype number, eid text) pairs that exist."""
        ...

    def last_entity_keys(self) -> dict[int, int]:
        """The highest entity key ever used in each partition that has any (deleted ones included)."""
        ...

    def make_durable(self) -> None:
        """Return when everything committed so far survives power loss. Raises `StoreFull`."""
        ...

    def pending_outbox(self, lease: Lease, after_rowid: int, max_bytes: int) -> list[PendingOutbox]:
        """Outbox rows of this worker's partitions in order, at least one if there is any."""
        ...

    def collect_garbage(self, lease: Lease, max_rows: int) -> bool:
        """Remove up to `max_rows` rows of deleted entities; True when there may be more."""
        ...

    # -- readers -------------------------------------------------------------------------------------
    def profile(self, etype: str, eid: str, attr: str | None = None) -> ProfileRows | None:
        """Rows of one entity (of one attribute if given), or None if it does not exist. Links to entities
        that were deleted since do not show, here and wherever profiles are read."""
        ...

    def entities_page(self, etype: str, limit: int, after: str | None = None) -> list[tuple[int, str, int]]:
        """(key, eid, created) of up to `limit` entities of a type, by eid as text, of those after `after`."""
        ...

    def entity_counts(self) -> dict[str, int]:
        """Number of entities by type."""
        ...

    def take_job(self, lease: Lease, name: str, ttl_s: float) -> bool:
        """Take or keep a job that only one worker does at a time, for so long; False if another one has it.
        Raises `LeaseLost`."""
        ...

    def forget_refused(self, lane: int, until: int) -> None:
        """Forget refused tasks of entries up to an offset: the log does not have them any more."""
        ...

    def refused_between(self, lane: int, first: int, last: int) -> set[tuple[int, int]]:
        """(offset, first) of refused tasks with first ≤ offset ≤ last."""
        ...

    def dead_letters(
        self, after: int, limit: int, filters: dict[str, str] | None = None
    ) -> list[StoredDeadLetter]:
        """Dead letters with an id > `after`, ascending; `filters` on kind, module, hook, etype, eid."""
        ...

    def dead_letter(self, id: int) -> StoredDeadLetter | None: ...

    def dead_letter_count(self) -> int: ...

    def counters(self) -> dict[str, int]:
        """Event counters of all workers, summed."""
        ...

    def version(self) -> int:
        """A cheap token that differs whenever another connection or process has committed since."""
        ...

    # -- control -------------------------------------------------------------------------------------
    def send_control(self, worker: int, action: str, args: dict[str, Any]) -> int:
        """Leave a message for a worker; returns its id. Raises `ControlFull` or `StoreFull`."""
        ...

    def pending_control(self, worker: int) -> list[ControlMessage]: ...

    def control_progress(self, ids: Iterable[int]) -> list[ControlProgress]:
        """How far workers are, or were in the end, with those messages that take long and were begun."""
        ...

    def control_result(self, ids: Iterable[int]) -> dict[int, dict[str, Any]]:
        """Results of those messages that are done."""
        ...

    def close(self) -> None: ...


def history_key(lane: int, offset: int, number: int) -> int:
    """The identity of data-point `number` of a log entry: 1 bit lane, 38 bits offset, 24 bits number.

    The lane comes first so that what a lane brought since some position is one range of keys."""
    return lane << 62 | offset << 24 | number


def lane_of(key: int) -> int:
    """The lane of a `history_key`."""
    return key >> 62
