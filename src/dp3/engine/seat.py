"""Where a worker works."""

from dataclasses import dataclass
from typing import Protocol

from dp3.clock import Clock
from dp3.log.port import Log
from dp3.store.history import HistoryStore
from dp3.store.lifetimes import LifetimeStore
from dp3.store.models import ModelStore
from dp3.store.port import Lease, Store
from dp3.store.retention import RetentionStore
from dp3.store.snapshots import SnapshotStore
from dp3.store.telemetry import TelemetryStore
from dp3.store.updates import UpdateStore


class State(
    Store,
    ModelStore,
    SnapshotStore,
    UpdateStore,
    HistoryStore,
    RetentionStore,
    LifetimeStore,
    TelemetryStore,
    Protocol,
):
    """The state as the parts of a worker need it."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A worker's log, state, clock and lease."""

    log: Log
    store: State
    clock: Clock
    lease: Lease
