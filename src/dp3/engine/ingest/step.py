"""One micro-batch: entries of the log become one transaction of the state."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from dp3.engine.context import Context
from dp3.engine.ingest.attempts import Attempts
from dp3.engine.ingest.batch import DEADLY, BatchBuilder, identities
from dp3.engine.ingest.entities import EntityIndex
from dp3.engine.ingest.hooks import Outcome
from dp3.engine.ingest.micro_batches import MicroBatches
from dp3.engine.ingest.outbox import OutboxDrainer
from dp3.engine.ingest.reader import Decoded, Item, Reader, Reading
from dp3.engine.ingest.system_tasks import SystemTasks
from dp3.engine.plans import TypePlan
from dp3.log.port import Lane
from dp3.store.ports.batches import Batch, Progress
from dp3.store.ports.errors import PositionsMoved, StoreUnavailable, StoreUncertain

RETRY_S = 1.0

SMALLEST_BYTES, FIRST_BYTES, LARGEST_BYTES = 4 << 10, 64 << 10, 4 << 20
"""Of log to read for a batch."""

logger = logging.getLogger(__name__)


class Stopped(Exception):
    """The worker was told to stop while it waited; what it held is read from the log again."""


class Pace:
    """Bytes of log to read for the next batch, so that a batch keeps its time limits.

    Grows by at most half and shrinks at once when a batch took longer than its targets.
    """

    def __init__(self, batch_limit_s: float, commit_target_s: float) -> None:
        self._batch_limit_s = batch_limit_s
        self._commit_target_s = commit_target_s
        self.bytes = FIRST_BYTES

    def learn(self, size: int, process_s: float, commit_s: float) -> None:
        """Take into account a batch of `size` bytes."""
        process, commit = (
            self._batch_limit_s / max(process_s, 1e-6),
            self._commit_target_s / max(commit_s, 1e-6),
        )
        factor = min(process, commit, 1.5)
        if factor < 1 or size >= self.bytes // 2:
            self.bytes = min(max(int(min(size, self.bytes) * factor), SMALLEST_BYTES), LARGEST_BYTES)


class Ingest:
    """Takes in what is next in the log, a micro-batch at a time. All methods are called by the worker's
    thread.

    The worker calls `read`; if there is something, it finishes what it writes elsewhere and calls `process`.
    `deleted` is called after a commit that deleted entities: there are rows to be removed.
    """

    def __init__(
        self,
        context: Context,
        reader: Reader,
        plans: Mapping[str, TypePlan],
        entities: EntityIndex,
        hooks: MicroBatches,
        attempts: Attempts,
        outbox: OutboxDrainer,
        batch_limit_s: float,
        deleted: Callable[[], None],
        stop: threading.Event,
    ) -> None:
        state = context.store
        self._batches = state.batches
        self._clock = context.clock
        self._lease = context.lease
        self._statistics = context.statistics
        self._reader = reader
        self._plans = plans
        self._entities = entities
        self._hooks = hooks
        self._attempts = attempts
        self._outbox = outbox
        self._deleted = deleted
        self._stop = stop
        self._system_tasks = SystemTasks(state.names, state.lifetimes, context.log, entities, plans)
        self._log = context.log
        self._pace = Pace(batch_limit_s, state.commit_target_s)
        self._failures = context.failures
        self._begins_anew = False
        self.has_caught_up = False
        """True if the last batch was all that there was, and much less than it might have been."""

    def read(self) -> Reading | None:
        """The next entries, or None when there are none."""
        if self._begins_anew:
            self._begin_anew()
        reading = self._reader.read(self._pace.bytes)
        if reading is None:
            self._attempts.forget()
            return None
        return replace(reading, entries=self._attempts.together(reading.lane, reading.entries))

    @property
    def isolates(self) -> bool:
        """True as long as what has ended the worker is to be found by running alone: nothing else may call
        hooks then."""
        suspect = self._attempts.suspect
        return suspect is not None and self._reader.offsets()[suspect[0]] < suspect[1]

    def process(self, reading: Reading) -> None:
        """Run hooks for as many of the entries as time permits, and commit what follows. If the entries have
        been applied meanwhile, nothing of it is kept, and the next reading begins behind them: so it is, too,
        if it can not be found out whether they were. Raises `LeaseLost`, `Stopped`, and `StoreUnavailable`
        and `LogUnavailable` when something can not be read: the next reading begins where this did."""
        self._begins_anew = True
        try:
            self._process(reading)
            self._begins_anew = False
        except (PositionsMoved, StoreUncertain) as reason:
            logger.error("%s; going on from what is stored", reason)

    def _begin_anew(self) -> None:
        """Begin with what is stored, whatever this worker had in mind."""
        self._reader.begin()
        self._entities.begin()
        self._outbox.report_again()
        self._begins_anew = False

    def _process(self, reading: Reading) -> None:
        started = time.perf_counter()
        builder = BatchBuilder(self._plans, self._entities, self._log, self._clock.now_us())
        if self._attempts.begin(reading.lane, reading.entries[0].offset, reading.last):
            found = self._reader.decode(reading.entries)
            self._fill(builder, found)
        else:
            found = self._reader.decode(reading.entries[:1])
            self._give_up(builder, found)
        self._set_aside(builder, found)
        batch = builder.finish()
        self._tell(batch)
        lane, last = reading.lane, found.entries[-1].offset
        batch.progress = Progress(lane, self._reader.reached(lane), last, found.entries[-1].order)
        processed = time.perf_counter()
        self.commit(batch)
        self._reader.advance(lane, last)
        committed = time.perf_counter()
        size = sum(entry.size for entry in found.entries)
        self.has_caught_up = size < self._pace.bytes // 2
        self._pace.learn(size, processed - started, committed - processed)
        self._statistics.batch(committed - started)

    def _fill(self, builder: BatchBuilder, found: Decoded) -> None:
        """Put tasks into the batch until its time is over; what is left is cut off."""
        wanted = identities(found.slices, self._plans)
        self._statistics.looked_up(len(wanted), self._entities.load(filter(None, wanted)))
        outcomes: Mapping[int, Outcome] = {}
        if self._hooks.any:
            items = found.items()
            outcomes, done = self._hooks.process(items)
            if done < len(items):
                found.cut(items[done].entry)
            _tell_deadly(items, outcomes)
        builder.add(found.slices, wanted, outcomes)
        if builder.system_tasks:
            commit = partial(self._commit_part, found.entries[0].lane)
            self._system_tasks.add(builder, self._reader.offsets()[Lane.MAIN], commit)

    @staticmethod
    def _give_up(builder: BatchBuilder, found: Decoded) -> None:
        """Put no task of an entry that must not run again into the batch."""
        for item in found.items():
            builder.reject(item, "its log entry ended the worker process repeatedly", kind="entry")
        entry = found.entries[0]
        logger.error("entry %s/%d set aside: it ended the worker repeatedly", entry.lane.name, entry.offset)

    @staticmethod
    def _set_aside(builder: BatchBuilder, found: Decoded) -> None:
        """Keep dead letters of what does not count and of what is damaged."""
        for item, reason in found.outdated:
            builder.reject(item, reason, outdated=True)
        for damage in found.damaged:
            entry = damage.entry
            builder.damaged(damage)
            logger.error("entry %s/%d: %s", entry.lane.name, entry.offset, damage.reason)

    def _tell(self, batch: Batch) -> None:
        """Tell the log of tasks that can not be applied; of hooks it knows, and of entries."""
        for letter in batch.dead_letters:
            if letter.kind == "task":
                self._failures.task((letter.etype, letter.eid), letter.reason)

    def _commit_part(self, lane: Lane, batch: Batch) -> None:
        """Commit a part of what entries lead to, before the rest."""
        batch.progress = Progress(lane, self._reader.reached(lane))
        self.commit(batch)

    def commit(self, batch: Batch) -> None:
        """Commit, waiting as long as the disk is full or the server away. Raises `LeaseLost`,
        `PositionsMoved`, `StoreUncertain`, `Stopped`."""
        if batch.outbox_drained is None:
            batch.outbox_drained = self._outbox.take_drained()
        while True:
            try:
                self._batches.commit(self._lease, batch)
                break
            except StoreUnavailable as error:
                logger.error("the state can not be written, waiting: %s", error)
            if self._stop.wait(RETRY_S):
                raise Stopped
        if batch.outbox:
            self._outbox.wake()
        if batch.deleted:
            self._deleted()


def _tell_deadly(items: Sequence[Item], outcomes: Mapping[int, Outcome]) -> None:
    """Tell the log of tasks whose hooks must not be called."""
    for index, outcome in outcomes.items():
        if outcome.deadly:
            entry, _, task = items[index]
            place = f"{entry.lane.name}/{entry.offset}"
            logger.error("%s/%s in entry %s set aside: %s", task.etype, task.eid, place, DEADLY)
