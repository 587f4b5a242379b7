"""The surroundings of a worker."""

from dataclasses import dataclass, field

from dp3.clock import Clock
from dp3.engine.clock_watch import ClockWatch
from dp3.engine.statistics import Statistics
from dp3.hooks.failures import FailureLog
from dp3.hooks.watch import HookWatch
from dp3.log.port import Log
from dp3.store.ports.leases import Lease
from dp3.store.ports.state import State


@dataclass(frozen=True, slots=True)
class Context:
    """The things that a worker has before it knows its modules: log, state, clock, lease, the watch over its
    hooks, the numbers that it reports of itself, the watch over the clock, and what tells the log of failures
    of its modules."""

    log: Log
    store: State
    clock: Clock
    lease: Lease
    watch: HookWatch
    statistics: Statistics
    clock_watch: ClockWatch
    failures: FailureLog = field(default_factory=FailureLog)
