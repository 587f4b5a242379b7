"""Batches: what one transaction of a worker changes. The outbox: tasks of hooks on their way to the log."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from dp3.store.ports.counters import HookSums, SourceSums
from dp3.store.ports.dead_letters import DeadLetter
from dp3.store.ports.entities import HistoryRow, NewEntity, PlainRow
from dp3.store.ports.leases import Lease


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


class Refused(NamedTuple):
    """A task that an allow hook refused; `first` is its number in the entry."""

    lane: int
    offset: int
    first: int


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


class PendingOutbox(NamedTuple):
    rowid: int
    row: OutboxRow


class Batches(Protocol):
    """The worker's commits: everything that one micro-batch changes, and how far the log has been applied."""

    def commit(self, lease: Lease, batch: Batch) -> None:
        """Apply a batch in one transaction. Raises `LeaseLost` or `StoreFull`; then nothing has changed."""
        ...

    def positions(self) -> list[tuple[int, int, int]]:
        """(partition, lane, offset reached) of all partitions and lanes."""
        ...

    def make_durable(self) -> None:
        """Return when everything committed so far survives power loss. Raises `StoreFull`."""
        ...

    def forget_refused(self, lane: int, until: int) -> None:
        """Forget refused tasks of entries up to an offset: the log does not have them any more."""
        ...

    def refused_between(self, lane: int, first: int, last: int) -> set[tuple[int, int]]:
        """(offset, first) of refused tasks with first ≤ offset ≤ last."""
        ...


class Outbox(Protocol):
    """Derived tasks that wait for the log."""

    def pending(self, lease: Lease, after_rowid: int, max_bytes: int) -> list[PendingOutbox]:
        """Outbox rows of this worker's partitions in order, at least one if there is any."""
        ...
