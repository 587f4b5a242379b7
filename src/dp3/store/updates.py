"""What periodic hooks need of the state, beside profiles: how far their batches are.

Same rules as in `dp3.store.port`. Hooks of one entity type, period and kind form a group. Each partition has
its own place in the cycle of a group, so another number of workers goes on where the ones before were.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from dp3.store.port import ControlProgress, DeadLetter, HookSums, Lease


class UpdateGroup(NamedTuple):
    """Which hooks: their kind, the number of the entity type, and their period (µs)."""

    kind: str
    etype: int
    period: int


class UpdateProgress(NamedTuple):
    """Where a group is in one partition.

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
    """What one worker did in a cycle of a group: entities visited, and batches that were missed before those
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


class NamedCycle(NamedTuple):
    """A cycle with the name of its entity type."""

    etype: str
    cycle: UpdateCycle


@dataclass(slots=True)
class UpdateBatch:
    """A slice of a worker's work for a group. `rows` replace what was known of their partitions; `visited`
    and `missed` of `cycles` are added to what is known of them. `tasks` are `encode_tasks` of what hooks
    returned; they go to the outbox in stream `stream` of the worker, with keys that grow with the clock and
    are above all that the state remembers of that stream. `control`: how far the message is that asked for
    this work, if one did."""

    group: UpdateGroup
    stream: int
    rows: Sequence[UpdateProgress] = ()
    cycles: Sequence[UpdateCycle] = ()
    tasks: Sequence[bytes] = ()
    dead_letters: Sequence[DeadLetter] = ()
    counters: dict[str, int] = field(default_factory=dict)
    hooks: list[HookSums] = field(default_factory=list)
    control: ControlProgress | None = None


class UpdateStore(Protocol):
    """Implemented by the same object as `Store`."""

    def update_progress(self, group: UpdateGroup) -> dict[int, UpdateProgress]:
        """Where a group is, by partition; empty for partitions without any batch so far."""
        ...

    def write_updates(self, lease: Lease, batch: UpdateBatch) -> None:
        """Apply a slice. Raises `LeaseLost`, `StoreFull`."""
        ...

    def count_between(self, etype: int, after: int, end: int) -> int:
        """How many entities of a type have keys between two (both excluded)."""
        ...

    def entities_between(self, etype: int, after: int, end: int, limit: int) -> list[tuple[int, str]]:
        """(key, eid) of up to `limit` entities of a type with keys between two (both excluded), ascending."""
        ...

    def update_cycles(self, limit: int) -> list[NamedCycle]:
        """The cycles that began last, newest first."""
        ...

    def forget_update_cycles(self, lease: Lease, keep: int) -> None:
        """Keep the newest `keep` cycles of each group and worker. Raises `LeaseLost`, `StoreFull`."""
        ...
