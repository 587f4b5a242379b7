"""Writing beside the worker's thread."""

from collections.abc import Callable
from concurrent.futures import Executor, Future, wait


class BackgroundWriter:
    """Writes in a thread of `executor`, one transaction after the other, while the worker's thread computes.

    A worker has one. The job that writes calls `begin` and, before it relies on what it wrote, `finish`; the
    worker calls `flush` before it runs hooks, which shall not wait beside a transaction.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.pending: Future[None] | None = None
        """The transaction that is under way, or that was the last one and may have failed."""

    def begin(self, write: Callable[[], None]) -> None:
        """Write once the transaction before is through; raises what that one raised."""
        self.finish()
        self.pending = self._executor.submit(write)

    def flush(self) -> None:
        """Wait until nothing is being written. What it raised is raised to the job that goes on with it."""
        if self.pending is not None:
            wait((self.pending,))

    def finish(self) -> None:
        """Wait until nothing is being written; raises what writing raised."""
        pending, self.pending = self.pending, None
        if pending is not None:
            pending.result()

    def abandon(self) -> None:
        """Wait until nothing is being written, however that ends: the job goes on from what is stored."""
        self.flush()
        self.pending = None
