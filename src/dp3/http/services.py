"""The collaborators of the HTTP layer."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from dp3.clock import Clock
from dp3.config.sections import ApiSettings
from dp3.http.pools import Pools
from dp3.http.rendering import Rendering
from dp3.log.appender import Appender
from dp3.log.port import Log
from dp3.model.spec import ModelSpec
from dp3.reads.reads import Reads
from dp3.runtime.audit import AuditLog
from dp3.runtime.line_file import LineFiles
from dp3.store.ports.counters import EventGroups
from dp3.store.ports.state import State


@dataclass(frozen=True, slots=True)
class Services:
    """The collaborators of the HTTP application, complete.

    `max_backlog`: bytes that workers may be behind before new data is refused. `wait_limit_s`: how long
    `?wait=true` and requests to workers wait at most. `root_path`: URL prefix set by a reverse proxy.
    `bound_host`: the address or name on which the API listens.
    `allowed_actions`: what may be asked of `/control`; `modules`: names of those that are enabled.
    `event_groups`: which events are counted. `audit`: where changes are noted, None for nowhere.
    `files`: opens logs that are opened anew at SIGHUP. `pools`: the threads that answer.
    `data_age_s`: how old what `reads` tells of entities is at most, None if it is never old.
    `rendering`: makes the answers that tell times, as the settings want them.
    """

    model: ModelSpec
    log: Log
    store: State
    appender: Appender
    reads: Reads
    settings: ApiSettings
    clock: Clock
    worker_processes: int
    allowed_actions: Collection[str] = ()
    modules: Sequence[str] = ()
    root_path: str = ""
    bound_host: str = ""
    max_backlog: int = 4 << 30
    wait_limit_s: float = 10.0
    event_groups: EventGroups = field(default_factory=dict)
    audit: AuditLog | None = None
    files: LineFiles = field(default_factory=LineFiles)
    pools: Pools = field(default_factory=Pools)
    data_age_s: Callable[[], float | None] | None = None
    rendering: Rendering = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rendering", Rendering(self.model, self.settings.timestamps))
