"""Writing beside the worker's thread."""

from concurrent.futures import Executor
from functools import partial

from dp3.engine.jobs.background_writer import BackgroundWriter
from dp3.store.ports.leases import Lease
from dp3.store.ports.snapshots import SnapshotBatch
from dp3.store.ports.state import State


class Writing(BackgroundWriter):
    """Writes slices in a thread of `executor`, one after the other, while the calling thread computes."""

    def __init__(self, state: State, lease: Lease, executor: Executor) -> None:
        super().__init__(executor)
        self._state = state
        self._lease = lease

    def write(self, batch: SnapshotBatch) -> None:
        """Write a slice once the one before is written; raises what that one raised."""
        self.begin(partial(self._state.snapshots.write, self._lease, batch))
