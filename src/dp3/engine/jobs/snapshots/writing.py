"""Writing beside the worker's thread."""

from concurrent.futures import Executor, Future, wait

from dp3.store.ports.leases import Lease
from dp3.store.ports.snapshots import SnapshotBatch
from dp3.store.ports.state import State


class Writing:
    """Writes slices in a thread of `executor`, one after the other, while the calling thread computes."""

    def __init__(self, state: State, lease: Lease, executor: Executor) -> None:
        self._state = state
        self._lease = lease
        self._executor = executor
        self.pending: Future[None] | None = None
        """The slice that is being written."""

    def begin(self, batch: SnapshotBatch) -> None:
        """Write a slice once the one before is written; raises what that one raised."""
        self.finish()
        self.pending = self._executor.submit(self._state.snapshots.write, self._lease, batch)

    def abandon(self) -> None:
        """Wait until nothing is being written, however that ends: work will go on from the mark."""
        pending, self.pending = self.pending, None
        if pending is not None:
            wait((pending,))

    def finish(self) -> None:
        """Wait until nothing is being written; raises what writing raised."""
        pending, self.pending = self.pending, None
        if pending is not None:
            pending.result()
