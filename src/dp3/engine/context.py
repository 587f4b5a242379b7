"""The surroundings of a worker."""

from dataclasses import dataclass, field

from dp3.clock import Clock
from dp3.clock_watch import ClockWatch
from dp3.engine.statistics import Statistics
from dp3.files import DamagedFile
from dp3.hooks.failures import FailureLog
from dp3.hooks.watch import HookWatch
from dp3.log.port import Log
from dp3.store.ports.leases import Lease
from dp3.store.ports.state import State


class Damage:
    """A damaged file that some thread of the worker has come upon: it ends the worker, whose threads can not
    go on without it, and which would come upon it again after every start."""

    def __init__(self) -> None:
        self._error: DamagedFile | None = None

    def note(self, error: DamagedFile) -> None:
        """Have the worker end. Called by any thread but its own, where the error may be raised."""
        self._error = error

    def check(self) -> None:
        """Raises what was noted. Called by the worker before each micro-batch."""
        if self._error is not None:
            raise self._error


@dataclass(frozen=True, slots=True)
class Context:
    """The things that a worker has before it knows its modules: log, state, clock, lease, the watch over its
    hooks, the numbers that it reports of itself, the watch over the clock, what tells the log of failures of
    its modules, and damage found."""

    log: Log
    store: State
    clock: Clock
    lease: Lease
    watch: HookWatch
    statistics: Statistics
    clock_watch: ClockWatch
    failures: FailureLog = field(default_factory=FailureLog)
    damage: Damage = field(default_factory=Damage)
