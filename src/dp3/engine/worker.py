"""The worker: reads the log in order, runs hooks, commits what follows; one batch after the other."""

import contextlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from dp3.engine.control import ControlHandler
from dp3.engine.ingest.attempts import Attempts
from dp3.engine.ingest.outbox import OutboxDrainer
from dp3.engine.ingest.reader import Reader
from dp3.engine.ingest.step import FULL_DISK_WAIT_S, Ingest, Stopped
from dp3.engine.jobs.history.work import HistoryWork
from dp3.engine.jobs.lifetimes.work import LifetimeWork
from dp3.engine.jobs.snapshots.job import SnapshotJob
from dp3.engine.jobs.snapshots.writing import BackgroundIo
from dp3.engine.jobs.stepped import Stepped
from dp3.engine.jobs.updates.work import UpdateWork
from dp3.engine.pacing import Nap
from dp3.store.ports.batches import Batch, Stream
from dp3.store.ports.errors import StoreFull
from dp3.store.ports.leases import Lease
from dp3.store.ports.state import State

GARBAGE_ROWS = 2_000
"""Rows of deleted entities removed in one slice."""

GARBAGE_EVERY = 16
"""At least one slice of garbage is removed for so many batches, however busy the worker is."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """The collaborators of a worker, complete."""

    store: State
    lease: Lease
    reader: Reader
    make_ingest: Callable[[Callable[[], None], threading.Event], Ingest]
    attempts: Attempts
    outbox: OutboxDrainer
    control: ControlHandler
    cursor: Cursor
    io: BackgroundIo
    snapshots: SnapshotJob
    runs: Stepped
    cleaning: Stepped
    updates: UpdateWork
    lifetimes: LifetimeWork
    history: HistoryWork


class Worker:
    """The one writer of the profiles of its partitions. All methods run in one thread."""

    def __init__(self, parts: WorkerParts, stop: threading.Event) -> None:
        self._parts = parts
        self._stop = stop
        self._reader = parts.reader
        self._ingest = parts.make_ingest(self._note_deleted, stop)
        self._nap = Nap()
        self._garbage = True
        self._batches = 0

    def run(self) -> None:
        """Work until told to stop. Raises `LeaseLost` when another process took over."""
        with contextlib.suppress(Stopped):
            while not self._stop.is_set():
                if self.step():
                    self._nap.reset()
                else:
                    self._stop.wait(self._nap.next_s())

    def step(self) -> bool:
        """Do one piece of work: one batch if there is any, else something smaller, and a slice each of the
        snapshot run, the periodic updates, the collection under way and the upkeep of history. False: nothing
        to do."""
        controlled = self._do_control()
        reading = self._ingest.read()
        if reading is None:
            busy = self._do_snapshots(may_block=True)
            busy = self._do_updates(may_block=not busy) or busy
            busy = self._do_lifetimes() or busy
            busy = self._do_history() or busy
            return self._do_small_work() or busy or controlled
        self._parts.snapshots.settle()
        self._ingest.process(reading)
        self._do_snapshots(may_block=False)
        self._do_updates(may_block=False)
        self._parts.cleaning.step(may_block=False)
        self._do_lifetimes()
        self._do_history()
        self._batches += 1
        if self._batches % GARBAGE_EVERY == 0:
            self._collect_garbage()
        return True

    def _note_deleted(self) -> None:
        self._garbage = True

    def _do_control(self) -> bool:
        control = self._parts.control
        message = control.next()
        if message is None:
            return False
        self._parts.snapshots.settle()
        if self._parts.attempts.begin(Stream.CONTROL, message.id - 1, message.id):
            batch = control.carry_out(message)
        else:
            logger.error("control message %d given up: it ended the worker repeatedly", message.id)
            batch = control.give_up(message, "it ended the worker process repeatedly")
        self._ingest.commit(batch)
        return True

    def _do_snapshots(self, may_block: bool) -> bool:
        busy = self._parts.snapshots.step(self._reader.offsets, may_block)
        if busy:
            self._parts.outbox.wake()
        return busy

    def _do_updates(self, may_block: bool) -> bool:
        busy = self._parts.updates.step(may_block)
        if busy:
            self._parts.outbox.wake()
        return busy

    def _do_lifetimes(self) -> bool:
        busy = self._parts.lifetimes.step(self._reader.offsets)
        if busy:
            self._parts.outbox.wake()
        return busy

    def _do_history(self) -> bool:
        busy = self._parts.history.step()
        if busy:
            self._parts.outbox.wake()
        return busy

    def _do_small_work(self) -> bool:
        """What has time until nothing else is to be done."""
        if self._collect_garbage() or self._parts.cleaning.step(may_block=True):
            return True
        if (drained := self._parts.outbox.take_drained()) is not None:
            self._ingest.commit(Batch(outbox_drained=drained))
        return False

    def _collect_garbage(self) -> bool:
        if self._garbage:
            try:
                self._garbage = self._parts.store.entities.collect_garbage(self._parts.lease, GARBAGE_ROWS)
            except StoreFull as error:
                logger.error("deleted rows can not be removed, waiting: %s", error)
                self._stop.wait(FULL_DISK_WAIT_S)
        return self._garbage
