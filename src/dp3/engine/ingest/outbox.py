"""Moves derived tasks from the outbox of the state to the derived lane of the log."""

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import takewhile

from dp3.files import DamagedFile
from dp3.log.port import Log, LogUnavailable, LogUncertain, OutboxSlice, Producer
from dp3.model.partition import partition_of
from dp3.model.wire import WireTask, decode_tasks, encode_tasks
from dp3.store.ports.batches import OutboxRow, Stream
from dp3.store.ports.errors import StoreUnavailable
from dp3.store.ports.leases import Lease
from dp3.store.ports.state import State

MAX_BYTES = 1 << 20
RETRY_S = 1.0

logger = logging.getLogger(__name__)


class OutboxDrainer:
    """A thread that appends what the worker commits to its outbox.

    The log remembers the last key that it took from every producer, so draining rows again, after a crash
    or after the state was replaced by an older copy, adds nothing. What was drained is removed from the
    outbox by the worker's next commit (`take_drained`).
    """

    def __init__(
        self, log: Log, state: State, lease: Lease, on_damage: Callable[[DamagedFile], None]
    ) -> None:
        """`on_damage` is called by the thread, which then ends."""
        self._log = log
        self._outbox = state.outbox
        self._batches = state.batches
        self._partitions = state.partitions
        self._lease = lease
        self._on_damage = on_damage
        self._drained = 0
        self._reported = 0
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._wake.set()

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """There may be new rows."""
        self._wake.set()

    def stop(self, timeout_s: float) -> None:
        """Finish the append under way; rows that are left are drained after the next start."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout_s)

    def take_drained(self) -> int | None:
        """The position up to which rows may be removed, if that has grown since the last call."""
        drained = self._drained
        if drained == self._reported:
            return None
        self._reported = drained
        return drained

    def report_again(self) -> None:
        """The last answer of `take_drained` was not committed."""
        self._reported = 0

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait()
            self._wake.clear()
            try:
                while not self._stop.is_set() and self.drain_some():
                    pass
            except DamagedFile as error:
                self._on_damage(error)
                return
            except (LogUnavailable, LogUncertain, StoreUnavailable) as error:
                logger.error("derived tasks wait in the outbox: %s", error)
                self._stop.wait(RETRY_S)
                self._wake.set()
            except Exception:
                logger.exception("draining the outbox failed; trying again")
                self._stop.wait(RETRY_S)
                self._wake.set()

    def drain_some(self) -> bool:
        """Bring some rows to the log; False when there are none. Called by the thread."""
        pending = _one_kind(self._outbox.pending(self._lease, self._drained, MAX_BYTES))
        if not pending:
            return False
        parts, number = [], 0
        for _, row in pending:
            part, number = self._part(row, number)
            parts.append(part)
        # The derived lane is read first, so it must never know of anything that the state can still forget.
        self._batches.make_durable()
        self._log.append_outbox(parts, max(row.after for _, row in pending))
        self._drained, _ = pending[-1]
        return True

    def _part(self, row: OutboxRow, number: int) -> tuple[OutboxSlice, int]:
        """One row as a part of a log entry, its tasks numbered from `number`."""
        by_partition: dict[int, list[WireTask]] = defaultdict(list)
        for task in decode_tasks(row.tasks):
            task.first = number
            number += task.width
            by_partition[partition_of(task.etype, task.eid, self._partitions)].append(task)
        slices = {partition: encode_tasks(tasks) for partition, tasks in by_partition.items()}
        return OutboxSlice(Producer(row.partition, row.stream), row.source, slices), number


def _one_kind(pending: Sequence[tuple[int, OutboxRow]]) -> Sequence[tuple[int, OutboxRow]]:
    """The first rows that may share an entry: one of system tasks, or all before the next of those.

    A worker commits whole entries, and system tasks are heavier than data-points."""
    if pending and pending[0][1].stream == Stream.SYSTEM:
        return pending[:1]
    return list(takewhile(lambda each: each[1].stream != Stream.SYSTEM, pending))
