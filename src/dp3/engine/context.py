"""The surroundings of a worker."""

from dataclasses import dataclass

from dp3.clock import Clock
from dp3.engine.statistics import Statistics
from dp3.log.port import Log
from dp3.store.ports.leases import Lease
from dp3.store.ports.state import State


@dataclass(frozen=True, slots=True)
class Context:
    """A worker's log, state, clock and lease, and the numbers that it reports of itself."""

    log: Log
    store: State
    clock: Clock
    lease: Lease
    statistics: Statistics
