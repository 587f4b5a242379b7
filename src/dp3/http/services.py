"""What the HTTP layer works with."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dp3.clock import Clock
from dp3.config.sections import ApiSettings
from dp3.engine.appender import Appender
from dp3.engine.backlog import Backlog
from dp3.engine.profiles import ProfileReader
from dp3.log.port import Log
from dp3.model.spec import ModelSpec
from dp3.store.lifetimes import LifetimeStore
from dp3.store.port import Store
from dp3.store.query import SnapshotQueries
from dp3.store.retention import RetentionStore
from dp3.store.snapshots import SnapshotStore
from dp3.store.telemetry import EventGroups, TelemetryStore
from dp3.store.updates import UpdateStore


class State(
    Store,
    SnapshotStore,
    SnapshotQueries,
    UpdateStore,
    LifetimeStore,
    RetentionStore,
    TelemetryStore,
    Protocol,
):
    """The state with all that readers ask: one object."""


@dataclass(frozen=True, slots=True)
class Services:
    """The collaborators of the HTTP application, complete.

    `max_backlog`: bytes that workers may be behind before new data is refused. `wait_limit_s`: how long
    `?wait=true` and requests to workers wait at most. `root_path`: URL prefix set by a reverse proxy.
    `allowed_actions`: what may be asked of `/control`; `modules`: names of those that are enabled.
    `event_groups`: which events are counted.
    """

    model: ModelSpec
    log: Log
    store: State
    appender: Appender
    reader: ProfileReader
    settings: ApiSettings
    clock: Clock
    worker_processes: int
    allowed_actions: Collection[str] = ()
    modules: Sequence[str] = ()
    root_path: str = ""
    max_backlog: int = 4 << 30
    wait_limit_s: float = 10.0
    event_groups: EventGroups = field(default_factory=dict)

    @property
    def backlog(self) -> Backlog:
        return Backlog(self.log, self.store)
