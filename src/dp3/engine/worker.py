"""The worker: reads the log in order, runs hooks, commits what follows; one batch after the other."""

import contextlib
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dp3.clock import Clock
from dp3.engine.control import CONTROL_STREAM, ControlHandler
from dp3.engine.ingest.attempts import Attempts
from dp3.engine.ingest.batch import BatchBuilder, Damaged, Item
from dp3.engine.ingest.cursor import Cursor, Reading
from dp3.engine.ingest.entities import EntityIndex
from dp3.engine.ingest.micro_batches import MicroBatches
from dp3.engine.ingest.outbox import OutboxDrainer
from dp3.engine.ingest.system_tasks import SystemTasks
from dp3.engine.ingest.unpacking import of_one_kind, unpack
from dp3.engine.jobs.history.work import HistoryWork
from dp3.engine.jobs.lifetimes.work import LifetimeWork
from dp3.engine.jobs.snapshots.job import SnapshotJob
from dp3.engine.jobs.snapshots.writing import BackgroundIo
from dp3.engine.jobs.stepped import Stepped
from dp3.engine.jobs.updates.work import UpdateWork
from dp3.engine.pacing import Nap, Pace
from dp3.engine.plans import TypePlan
from dp3.engine.schema.outdated import OutdatedPoints
from dp3.engine.statistics import Statistics
from dp3.log.bounds import LaneBounds
from dp3.log.port import Entry, Lane, Log
from dp3.store.ports.batches import Batch
from dp3.store.ports.errors import StoreFull
from dp3.store.ports.leases import Lease
from dp3.store.ports.state import State

GARBAGE_ROWS = 2_000
"""Rows of deleted entities removed in one slice."""

GARBAGE_EVERY = 16
"""At least one slice of garbage is removed for so many batches, however busy the worker is."""

FULL_DISK_WAIT_S = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """The collaborators of a worker, complete."""

    log: Log
    store: State
    clock: Clock
    lease: Lease
    plans: Mapping[str, TypePlan]
    entities: EntityIndex
    hooks: MicroBatches
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
    system_tasks: SystemTasks
    history: HistoryWork
    batch_limit_s: float
    statistics: Statistics = field(default_factory=Statistics)


class Stopped(Exception):
    """The worker was told to stop while it waited; what it held is read from the log again."""


class Worker:
    """The one writer of the profiles of its partitions. All methods run in one thread."""

    def __init__(self, parts: WorkerParts, stop: threading.Event) -> None:
        self._parts = parts
        self._stop = stop
        self._cursor = parts.cursor
        self._outdated = OutdatedPoints(parts.store.models.outdated())
        self._bounds = LaneBounds(parts.log)
        self._pace = Pace(parts.batch_limit_s)
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
        reading = self._read()
        if reading is None:
            busy = self._do_snapshots(may_block=True)
            busy = self._do_updates(may_block=not busy) or busy
            busy = self._do_lifetimes() or busy
            busy = self._do_history() or busy
            return self._do_small_work() or busy or controlled
        self._process(reading)
        self._do_snapshots(may_block=False)
        self._do_updates(may_block=False)
        self._parts.cleaning.step(may_block=False)
        self._do_lifetimes()
        self._do_history()
        self._batches += 1
        if self._batches % GARBAGE_EVERY == 0:
            self._collect_garbage()
        return True

    def _read(self) -> Reading | None:
        reading = self._cursor.read(self._pace.bytes)
        if reading is not None and self._parts.attempts.single(reading.lane, reading.after):
            return Reading(reading.lane, reading.after, reading.entries[:1])
        return reading

    def _process(self, reading: Reading) -> None:
        self._parts.io.flush()
        started = time.perf_counter()
        parts = self._parts
        builder = BatchBuilder(parts.plans, parts.entities, self._bounds, parts.clock.now_us())
        if parts.attempts.begin(reading.lane, reading.after, reading.last):
            entries = self._fill(builder, reading.entries)
        else:
            entries = reading.entries[:1]
            self._give_up(builder, entries[0])
        batch = builder.finish()
        batch.positions = {int(reading.lane): entries[-1].offset}
        processed = time.perf_counter()
        self._commit(batch)
        self._cursor.advance(reading.lane, entries[-1].offset)
        committed = time.perf_counter()
        self._pace.learn(sum(entry.size for entry in entries), processed - started, committed - processed)
        parts.statistics.batch(committed - started)

    def _fill(self, builder: BatchBuilder, entries: list[Entry]) -> list[Entry]:
        """Put entries into the batch until its time is over; returns those that are in."""
        unpacked = unpack(entries, self._cursor)
        kept = of_one_kind(unpacked.items)
        if len(kept) < len(unpacked.items):
            entries = _before(entries, unpacked.items[len(kept)])
        items, outdated = self._outdated.sort(kept)
        misses = self._parts.entities.load(
            (plan.id, str(item.task.eid))
            for item in items
            if (plan := self._parts.plans.get(item.task.etype))
        )
        self._parts.statistics.looked_up(len(items), misses)
        outcomes, done = self._parts.hooks.process(items)
        builder.add(items[:done], outcomes)
        if builder.system_tasks:
            self._parts.system_tasks.add(builder, self._cursor.offsets()[Lane.MAIN], self._commit)
        if done < len(items):
            entries = _before(entries, items[done])
        for item, reason in outdated:
            if item.entry.offset <= entries[-1].offset:
                builder.reject(item, reason, outdated=True)
        self._report(builder, unpacked.damaged, entries[-1].offset)
        return entries

    def _give_up(self, builder: BatchBuilder, entry: Entry) -> None:
        """Set aside all of an entry that must not run again."""
        unpacked = unpack([entry], self._cursor)
        items, outdated = self._outdated.sort(unpacked.items)
        for item in items:
            builder.reject(item, "its log entry ended the worker process repeatedly", kind="entry")
        for item, reason in outdated:
            builder.reject(item, reason, outdated=True)
        logger.error("entry %s/%d set aside: it ended the worker repeatedly", entry.lane.name, entry.offset)
        self._report(builder, unpacked.damaged, entry.offset)

    @staticmethod
    def _report(builder: BatchBuilder, damaged: Sequence[Damaged], last: int) -> None:
        """Set aside what is damaged in the entries up to `last`."""
        for found in damaged:
            if found.entry.offset <= last:
                builder.damaged(found)
                logger.error("entry %s/%d: %s", found.entry.lane.name, found.entry.offset, found.reason)

    def _commit(self, batch: Batch) -> None:
        """Commit, waiting for room as long as the disk is full."""
        parts = self._parts
        if batch.outbox_drained is None:
            batch.outbox_drained = parts.outbox.take_drained()
        while not self._committed(batch):
            if self._stop.wait(FULL_DISK_WAIT_S):
                raise Stopped
        if batch.outbox:
            parts.outbox.wake()
        if batch.deleted:
            self._garbage = True

    def _committed(self, batch: Batch) -> bool:
        try:
            self._parts.store.batches.commit(self._parts.lease, batch)
        except StoreFull as error:
            logger.error("the state can not be written, waiting: %s", error)
            return False
        return True

    def _do_control(self) -> bool:
        control = self._parts.control
        message = control.next()
        if message is None:
            return False
        self._parts.io.flush()
        if self._parts.attempts.begin(CONTROL_STREAM, message.id - 1, message.id):
            batch = control.carry_out(message)
        else:
            logger.error("control message %d given up: it ended the worker repeatedly", message.id)
            batch = control.give_up(message, "it ended the worker process repeatedly")
        self._commit(batch)
        return True

    def _do_snapshots(self, may_block: bool) -> bool:
        busy = self._parts.runs.step(may_block)
        if busy:
            self._parts.outbox.wake()
        return busy

    def _do_updates(self, may_block: bool) -> bool:
        busy = self._parts.updates.step(may_block)
        if busy:
            self._parts.outbox.wake()
        return busy

    def _do_lifetimes(self) -> bool:
        busy = self._parts.lifetimes.step(self._cursor.offsets)
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
            self._commit(Batch(outbox_drained=drained))
        return False

    def _collect_garbage(self) -> bool:
        if self._garbage:
            try:
                self._garbage = self._parts.store.entities.collect_garbage(self._parts.lease, GARBAGE_ROWS)
            except StoreFull as error:
                logger.error("deleted rows can not be removed, waiting: %s", error)
                self._stop.wait(FULL_DISK_WAIT_S)
        return self._garbage


def _before(entries: Sequence[Entry], item: Item) -> list[Entry]:
    """The entries before that of an item."""
    return [entry for entry in entries if entry.offset < item.entry.offset]
