"""The state: a record of ports, one for each noun.

Profiles are changed only by `batches.commit`, one transaction per micro-batch, by the worker that owns the
partition. Entities have an integer key made by the owner: `partition << ENTITY_SHIFT | running number`. Times
are microseconds since the epoch, confidences units of 10⁻⁹, values `encode_value(...)` bytes. All methods are
blocking; reads may come from any thread and see one committed state per call. Everything of one call that
writes is one transaction.
"""

from collections.abc import Callable
from dataclasses import dataclass

from dp3.store.ports.batches import Batches, Changes, Outbox
from dp3.store.ports.control import Control
from dp3.store.ports.counters import Counters
from dp3.store.ports.dead_letters import DeadLetters
from dp3.store.ports.entities import Entities
from dp3.store.ports.history import History
from dp3.store.ports.leases import Leases
from dp3.store.ports.lifetimes import Lifetimes
from dp3.store.ports.links import Links
from dp3.store.ports.models import Models, Names
from dp3.store.ports.queries import Queries
from dp3.store.ports.retention import Retention
from dp3.store.ports.runs import Runs
from dp3.store.ports.sizes import Sizes
from dp3.store.ports.snapshots import SnapshotCleaning, Snapshots
from dp3.store.ports.tokens import Tokens
from dp3.store.ports.updates import Updates


@dataclass(frozen=True, slots=True)
class State:
    """The ports of one state. `partitions` was fixed when it was made; `commit_target_s`: so long a commit of
    a batch should take at most; `close` gives back its files."""

    partitions: int
    commit_target_s: float
    names: Names
    leases: Leases
    batches: Batches
    outbox: Outbox
    changes: Changes
    entities: Entities
    dead_letters: DeadLetters
    counters: Counters
    sizes: Sizes
    control: Control
    runs: Runs
    snapshots: Snapshots
    cleaning: SnapshotCleaning
    links: Links
    tokens: Tokens
    updates: Updates
    lifetimes: Lifetimes
    history: History
    retention: Retention
    models: Models
    queries: Queries
    close: Callable[[], None]
