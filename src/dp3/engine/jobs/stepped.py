"""Jobs behind the call that a worker made before it had a `JobRunner`."""

from collections.abc import Sequence

from dp3.clock import Clock
from dp3.engine.jobs.job import Job, JobRunner
from dp3.store.ports.changes import Changes


class Stepped:
    """Jobs of a runner of their own. To go as soon as the worker has one runner for all jobs."""

    def __init__(self, jobs: Sequence[Job], clock: Clock, changes: Changes) -> None:
        self._runner = JobRunner(jobs, clock, lambda: None)
        self._changes = changes

    def step(self, may_block: bool) -> bool:
        """Work for at most a slice of time; returns whether there was anything to do."""
        return self._runner.turn(self._changes.version(), may_block)
