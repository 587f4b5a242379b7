"""The worker: reads the log in order, has what it read processed and committed, and runs its jobs."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from dp3.engine.context import Context
from dp3.engine.ingest.attempts import Attempts
from dp3.engine.ingest.batch import BatchBuilder, Damaged, Item
from dp3.engine.ingest.cursor import Cursor, Reading
from dp3.engine.ingest.entities import EntityIndex
from dp3.engine.ingest.micro_batches import MicroBatches
from dp3.engine.ingest.outbox import OutboxDrainer
from dp3.engine.ingest.system_tasks import SystemTasks
from dp3.engine.ingest.unpacking import of_one_kind, unpack
from dp3.engine.jobs.job import JobRunner
from dp3.engine.pacing import Nap, Pace
from dp3.engine.plans import TypePlan
from dp3.engine.schema.outdated import OutdatedPoints
from dp3.log.bounds import LaneBounds
from dp3.log.port import Entry, Lane
from dp3.store.ports.batches import Batch
from dp3.store.ports.errors import StoreFull

FULL_DISK_WAIT_S = 1.0

logger = logging.getLogger(__name__)


class Stopped(Exception):
    """The worker was told to stop while it waited; what it held is read from the log again."""


class Ingest:
    """Entries of the log → committed batch. All methods are called by the worker's thread."""

    def __init__(
        self,
        context: Context,
        cursor: Cursor,
        plans: Mapping[str, TypePlan],
        entities: EntityIndex,
        hooks: MicroBatches,
        attempts: Attempts,
        outbox: OutboxDrainer,
        batch_limit_s: float,
        deleted: Callable[[], None],
        stop: threading.Event,
    ) -> None:
        self._state = context.store
        self._clock = context.clock
        self._lease = context.lease
        self._statistics = context.statistics
        self._cursor = cursor
        self._plans = plans
        self._entities = entities
        self._hooks = hooks
        self._attempts = attempts
        self._outbox = outbox
        self._deleted = deleted
        self._stop = stop
        self._system_tasks = SystemTasks(context.store, context.log, entities, plans)
        self._outdated = OutdatedPoints(context.store.models.outdated())
        self._bounds = LaneBounds(context.log)
        self._pace = Pace(batch_limit_s)

    def read(self) -> Reading | None:
        """The next entries, or None when there are none."""
        reading = self._cursor.read(self._pace.bytes)
        if reading is not None and self._attempts.single(reading.lane, reading.after):
            return Reading(reading.lane, reading.after, reading.entries[:1])
        return reading

    def process(self, reading: Reading) -> None:
        """Run hooks for some of the entries and commit what follows. Raises `LeaseLost`, `Stopped`."""
        started = time.perf_counter()
        builder = BatchBuilder(self._plans, self._entities, self._bounds, self._clock.now_us())
        if self._attempts.begin(reading.lane, reading.after, reading.last):
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
        self._statistics.batch(committed - started)

    def _fill(self, builder: BatchBuilder, entries: list[Entry]) -> list[Entry]:
        """Put entries into the batch until its time is over; returns those that are in."""
        unpacked = unpack(entries, self._cursor)
        kept = of_one_kind(unpacked.items)
        if len(kept) < len(unpacked.items):
            entries = _before(entries, unpacked.items[len(kept)])
        items, outdated = self._outdated.sort(kept)
        misses = self._entities.load(
            (plan.id, str(item.task.eid)) for item in items if (plan := self._plans.get(item.task.etype))
        )
        self._statistics.looked_up(len(items), misses)
        outcomes, done = self._hooks.process(items)
        builder.add(items[:done], outcomes)
        if builder.system_tasks:
            self._system_tasks.add(builder, self._cursor.offsets()[Lane.MAIN], self._commit)
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
        if batch.outbox_drained is None:
            batch.outbox_drained = self._outbox.take_drained()
        while not self._committed(batch):
            if self._stop.wait(FULL_DISK_WAIT_S):
                raise Stopped
        if batch.outbox:
            self._outbox.wake()
        if batch.deleted:
            self._deleted()

    def _committed(self, batch: Batch) -> bool:
        try:
            self._state.batches.commit(self._lease, batch)
        except StoreFull as error:
            logger.error("the state can not be written, waiting: %s", error)
            return False
        return True


def _before(entries: Sequence[Entry], item: Item) -> list[Entry]:
    """The entries before that of an item."""
    return [entry for entry in entries if entry.offset < item.entry.offset]


class Worker:
    """The one writer of the profiles of its partitions. All methods run in one thread.

    `flush` is called before hooks run: it waits for what jobs have begun to write in other threads, because a
    hook shall not wait for a transaction.
    """

    def __init__(
        self,
        context: Context,
        ingest: Ingest,
        jobs: JobRunner,
        flush: Callable[[], None],
        stop: threading.Event,
    ) -> None:
        self._log = context.log
        self._changes = context.store.changes
        self._ingest = ingest
        self._jobs = jobs
        self._flush = flush
        self._stop = stop
        self._read_up_to: tuple[int, ...] = ()
        self._nap = Nap()

    def run(self) -> None:
        """Work until told to stop. Raises `LeaseLost` when another process took over."""
        try:
            with contextlib.suppress(Stopped):
                while not self._stop.is_set():
                    if self.step():
                        self._nap.reset()
                    else:
                        self._stop.wait(self._nap.next_s())
        finally:
            self._jobs.close()

    def step(self) -> bool:
        """Process one micro-batch if there is any, then give each job a turn. False: nothing to do."""
        ingested = self._take_in()
        return self._jobs.turn(self._changes.version(), may_block=not ingested) or ingested

    def _take_in(self) -> bool:
        """Process what comes next in the log. It is not looked at as long as nothing was appended since all
        of it was read."""
        version = self._log.version()
        if version == self._read_up_to:
            return False
        reading = self._ingest.read()
        if reading is None:
            self._read_up_to = version
            return False
        self._flush()
        self._ingest.process(reading)
        return True
