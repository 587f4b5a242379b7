"""Removes rows that nobody needs any more: of deleted entities, and of tasks that the log has."""

from functools import partial

from dp3.engine.context import Context
from dp3.engine.ingest.outbox import OutboxDrainer
from dp3.engine.jobs.job import NEVER, ONLY_IDLE, Work
from dp3.store.ports.batches import Batch

ROWS = 2_000
"""Rows of deleted entities removed in one piece."""

EVERY = 16
"""At least one slice of garbage is removed for so many micro-batches, however busy the worker is."""


class DeletedRows:
    """The rows of own entities that were deleted; some may be left from before the worker was started."""

    name = "rows of deleted entities"
    watches = False
    every = EVERY

    def __init__(self, context: Context) -> None:
        self._state = context.store
        self._lease = context.lease
        self._clock_watch = context.clock_watch
        self.wake_at = 0

    def request(self) -> None:
        """Begin at the next turn. Called when entities were deleted."""
        self.wake_at = 0

    def begin(self, now: int, failures: int) -> Work | None:
        """See `Job.begin`."""
        self.wake_at = NEVER
        return self._steps()

    def _steps(self) -> Work:
        while self._state.entities.collect_garbage(self._lease, ROWS, self._is_trusted):
            yield None

    def _is_trusted(self) -> bool:
        return self._clock_watch.is_trusted


class DrainedRows:
    """The rows of the outbox that were drained. Mostly the next micro-batch removes them; this job does when
    there is none. It is asked at every turn of an idle worker: draining changes nothing in the state."""

    name = "drained rows of the outbox"
    wake_at = 0
    watches = False
    every = ONLY_IDLE

    def __init__(self, context: Context, outbox: OutboxDrainer) -> None:
        self._state = context.store
        self._lease = context.lease
        self._outbox = outbox

    def begin(self, now: int, failures: int) -> Work | None:
        """See `Job.begin`."""
        drained = self._outbox.take_drained()
        return None if drained is None else self._remove(drained)

    def _remove(self, drained: int) -> Work:
        yield partial(self._state.batches.commit, self._lease, Batch(outbox_drained=drained))
