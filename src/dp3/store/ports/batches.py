"""Batches: what one transaction of a worker changes. The outbox: tasks of hooks on their way to the log."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple, Protocol

from dp3.store.ports.counters import HookSums, SourceSums
from dp3.store.ports.dead_letters import DeadLetter
from dp3.store.ports.entities import NewEntity, PlainRow
from dp3.store.ports.history import FreshPlace, IncomingRow
from dp3.store.ports.leases import Lease


class Stream(IntEnum):
    """Origin of tasks in the outbox: an entry of a lane of the log, or work of the worker itself. Keys
    grow within a stream of a partition (of a worker: its index stands for the partition), and the log takes
    each only once."""

    MAIN = 0
    DERIVED = 1
    CONTROL = 2
    SNAPSHOTS = 3
    UPDATES = 4
    SYSTEM = 5
    CREATION = 6


RUN_SHIFT = 24
"""Keys of `Stream.SNAPSHOTS` are the number of the run, then a running number of so many bits."""


class LinkRow(NamedTuple):
    """`source` (entity key) refers to `target` through the relation `attr` until `until`.

    `replaces`: a plain relation. All its rows of one source in a batch are its whole new value: other links
    of the source through `attr` end, and rows with a smaller `order` (that of the log entry) than stored ones
    do nothing. Its emptied value is one row with `NO_TARGET`.
    Otherwise an observation: the larger `until` of this and an equal link stays."""

    source: int
    attr: int
    target_etype: int
    target_eid: str
    until: int
    order: int
    replaces: bool


NO_TARGET = (0, "")
"""`target_etype` and `target_eid` of a plain relation that refers to nothing any more."""


class Tombstone(NamedTuple):
    """An entity was deleted at `at` (an append time), so links to it that are older have to go: those of
    entries up to `order`, which are those up to the offset `main` or `derived` of their lane. `partition` is
    that of the entity."""

    etype: int
    eid: str
    partition: int
    order: int
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
    """Tasks that go to the log. `source` is their key: that of the entry they come from is its offset.
    `after` is the order of that entry, 0 if there is none: what they become comes after it. `tasks` is
    `encode_tasks` of all of them (not yet split by target partition)."""

    partition: int
    stream: int
    source: int
    after: int
    tasks: bytes


class Progress(NamedTuple):
    """The entries of a lane that a batch comes from: in each partition of the worker those behind the offset
    in `since`, up to `until`, whose order is `order`. `until` is None for a part of what they lead to that is
    committed before the rest."""

    lane: int
    since: Mapping[int, int]
    until: int | None = None
    order: int = 0


@dataclass(slots=True)
class Batch:
    """Everything that one transaction changes, in the order of application: deleted entities, new
    entities, then rows. `progress` is None if it does not come from entries of the log. No row but tombstones
    and removals is of an entity that does not exist then.

    A data-point of history has a row in `fresh`, which says whose it is, and one in `incoming`, which says
    what it is; both in any order.

    `ttl` is (entity, token, until), at most one of each pair; `expiry_checks` entity → when to check whether
    tokens are over, if not before. `plain_removed` is (entity, attr), `history_removed` (entity, attr, key of
    a history row), `packed_removed` (entity, attr, tag, part of a packed one); `tombstones_done` (etype, eid,
    order of a tombstone, offset in the derived lane after which nobody needs it). `outbox_drained`: rows of
    the outbox up to this position are in the log. `refused` is (lane, offset, number in the entry) of tasks
    that an allow hook refused. `control_done` is (id of a message, result)."""

    progress: Progress | None = None
    deleted: list[int] = field(default_factory=list)
    created: list[NewEntity] = field(default_factory=list)
    plain: list[PlainRow] = field(default_factory=list)
    fresh: list[FreshPlace] = field(default_factory=list)
    incoming: list[IncomingRow] = field(default_factory=list)
    links: list[LinkRow] = field(default_factory=list)
    ttl: list[tuple[int, str, int]] = field(default_factory=list)
    expiry_checks: dict[int, int] = field(default_factory=dict)
    tombstones: list[Tombstone] = field(default_factory=list)
    plain_removed: list[tuple[int, int]] = field(default_factory=list)
    history_removed: list[tuple[int, int, int]] = field(default_factory=list)
    packed_removed: list[tuple[int, int, int, int]] = field(default_factory=list)
    links_ended: list[EndedLink] = field(default_factory=list)
    tombstones_done: list[tuple[int, str, int, int]] = field(default_factory=list)
    outbox: list[OutboxRow] = field(default_factory=list)
    outbox_drained: int | None = None
    dead_letters: list[DeadLetter] = field(default_factory=list)
    dead_letters_removed: list[int] = field(default_factory=list)
    refused: list[tuple[int, int, int]] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    hooks: list[HookSums] = field(default_factory=list)
    sources: list[SourceSums] = field(default_factory=list)
    control_done: list[tuple[int, dict[str, Any]]] = field(default_factory=list)


class Batches(Protocol):
    """The worker's commits: everything that one micro-batch changes, and how far the log has been applied."""

    def commit(self, lease: Lease, batch: Batch) -> None:
        """Apply a batch in one transaction; called by the worker after each micro-batch. Raises `LeaseLost`,
        `StoreFull`, or `PositionsMoved` if the stored positions are not those that it starts from, so that no
        entry is applied twice; then nothing has changed."""
        ...

    def positions(self) -> list[tuple[int, int, int]]:
        """(partition, lane, offset reached) of all partitions and lanes."""
        ...

    def order(self) -> int:
        """The highest order of an entry that was applied."""
        ...

    def make_durable(self) -> None:
        """Return when everything committed so far survives power loss; called before tasks of the outbox go
        to the log. Raises `StoreFull`."""
        ...

    def forget_refused(self, lane: int, until: int) -> None:
        """Forget refused tasks of entries up to an offset, after the log has removed these. Raises
        `StoreFull`."""
        ...

    def refused_between(self, lane: int, first: int, last: int) -> set[tuple[int, int]]:
        """(offset, number in the entry) of refused tasks with first ≤ offset ≤ last."""
        ...


def reached_by_all(batches: Batches) -> dict[int, int]:
    """The offset that all partitions of all workers have reached, by lane."""
    reached: dict[int, int] = {}
    for _, lane, offset in batches.positions():
        reached[lane] = min(reached.get(lane, offset), offset)
    return reached


class Outbox(Protocol):
    """Derived tasks that wait for the log."""

    def pending(self, lease: Lease, after: int, max_bytes: int) -> list[tuple[int, OutboxRow]]:
        """Rows of this worker's partitions with their positions, in order, of those after a position (0 is
        before all): about `max_bytes` of tasks, at least one row if there is any. They stay until a batch
        says that they are drained."""
        ...

    def go_above(self, taken: Iterable[tuple[int, int, int]]) -> None:
        """Give keys above those (partition, stream, key) that the log has taken, if it knows more than the
        state, which is older then. Streams of lanes, whose keys are offsets, are left out. Raises
        `StoreFull`."""
        ...


class Changes(Protocol):
    """Notice of commits, for parts that wait for something to change."""

    def version(self) -> int:
        """A cheap token that differs whenever another connection or process has committed since: at once if
        that was in this process, else some milliseconds later at most."""
        ...
