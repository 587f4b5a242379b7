"""Progress with the batches of periodic hooks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from dp3.store.ports.batches import Stream
from dp3.store.ports.control import ControlProgress
from dp3.store.ports.counters import HookSums
from dp3.store.ports.dead_letters import DeadLetter
from dp3.store.ports.leases import Lease


class UpdateGroup(NamedTuple):
    """Periodic hooks that are called together: their kind, the number of the entity type, and their period
    (µs)."""

    kind: str
    etype: int
    period: int


class UpdateProgress(NamedTuple):
    """Progress of a group in one partition.

    The cycle began at `begun`; its latest batch, number `batch` of `batches`, was due at `tick` and is under
    way while `open`. In this cycle `done` entities were visited, the last one has the key `after`; the batch
    ends with `target` visited, or when there are no more. `tries` workers in a row began with it in the
    middle of the batch and ended before any more of it was done.
    """

    partition: int
    begun: int
    tick: int
    batch: int
    batches: int
    target: int
    done: int
    after: int
    open: bool
    tries: int = 0


class UpdateCycle(NamedTuple):
    """Record of one worker in a cycle of a group: entities visited, and batches that were missed before those
    that were done. `finished`: the last batch is through."""

    group: UpdateGroup
    worker: int
    begun: int
    updated: int
    batch: int
    batches: int
    visited: int
    missed: int
    finished: bool


@dataclass(slots=True)
class UpdateBatch:
    """A slice of a worker's work for a group. `rows` replace what was known of their partitions; `visited`
    and `missed` of `cycles` are added to what is known of them. `tasks` are `encode_tasks` of what hooks
    returned, for this stream of the outbox. `control`: how far the message is that asked for
    this work, if one did."""

    group: UpdateGroup
    stream: Stream
    rows: Sequence[UpdateProgress] = ()
    cycles: Sequence[UpdateCycle] = ()
    tasks: Sequence[bytes] = ()
    dead_letters: Sequence[DeadLetter] = ()
    counters: dict[str, int] = field(default_factory=dict)
    hooks: list[HookSums] = field(default_factory=list)
    control: ControlProgress | None = None


class Updates(Protocol):
    """Progress with the batches of periodic hooks."""

    def progress(self, group: UpdateGroup) -> dict[int, UpdateProgress]:
        """Progress of a group by partition; nothing for partitions without any batch so far."""
        ...

    def write(self, lease: Lease, batch: UpdateBatch) -> None:
        """Apply a slice. Raises `LeaseLost`, `StoreFull`."""
        ...

    def cycles(self, limit: int) -> list[tuple[str, UpdateCycle]]:
        """The cycles that began last, newest first, each with the name of its entity type."""
        ...

    def forget_cycles(self, lease: Lease, keep: int) -> None:
        """Keep the newest `keep` cycles of each group and worker. Raises `LeaseLost`, `StoreFull`."""
        ...
