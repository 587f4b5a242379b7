"""Takes a worker through runs, in slices between its batches."""

import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait

from dp3.engine.jobs.schedule import Schedule
from dp3.engine.jobs.snapshots.recording import Effects, Recorder
from dp3.engine.jobs.snapshots.runs import Runs, has_completed
from dp3.engine.jobs.snapshots.work import Work, WorkParts
from dp3.engine.jobs.waiting import Wait, finished
from dp3.hooks.table import Hook
from dp3.store.ports.errors import LeaseLost, StoreFull
from dp3.store.ports.runs import Phase, Run, WorkerRun

SLICE_S = 0.05

RETRY_US = 1_000_000
"""After a failure that is not one entity's, the worker goes on from its mark after this time."""

LOOK_US = 1_000_000
"""How often to look for others that are waited for, however little happens in the state."""

MOST_FAILURES = 3
"""So many failures in a row end this worker's part of the run."""

Offsets = Callable[[], dict[int, int]]

logger = logging.getLogger(__name__)


class SnapshotWork:
    """Snapshot runs as one worker sees them. All methods are called by the worker's thread."""

    def __init__(self, parts: WorkParts, runs: Runs, ticks: Schedule) -> None:
        self._parts = parts
        self._runs = runs
        self._ticks = ticks
        self._job: Wait | None = None
        self._phase: tuple[int, Phase] | None = None
        self._seen: int | None = None
        self._look_at = 0
        self._not_before = 0
        self._failures = 0

    def request(self) -> Run | None:
        """Begin a run now; None if one is under way."""
        return self._runs.open_now()

    def step(self, offsets: Offsets, may_block: bool) -> bool:
        """Work for at most a slice of time; returns whether there was anything to do.

        `offsets` tells how far the worker is in each lane of the log. `may_block`: time may be spent on
        waiting for hooks that run in other threads."""
        now = self._parts.clock.now_us()
        tick = self._ticks.due(now)
        if tick is not None:
            self._runs.open(tick)
        self._drop_what_is_over()
        if self._job is None and not self._look(offsets, now):
            return False
        if self._job is None:
            return True
        try:
            return self._go_on(self._job, may_block)
        except LeaseLost:
            raise
        except Exception as error:
            self._fail(error, now)
            return False

    def settle(self) -> None:
        """Wait for what is being written: hooks of other work do not run beside a transaction either."""
        try:
            self._parts.writing.finish()
        except LeaseLost:
            raise
        except Exception as error:
            self._fail(error, self._parts.clock.now_us())

    def _go_on(self, job: Wait, may_block: bool) -> bool:
        end = time.perf_counter() + SLICE_S
        for awaited in job:
            left = end - time.perf_counter()
            if awaited is not None and not awaited.done():
                if not may_block:
                    return False
                wait((awaited,), max(left, 0))
            if left <= 0:
                return True
        self._job, self._failures, self._seen = None, 0, None
        return True

    def _drop_what_is_over(self) -> None:
        """Others go on without a worker that gave no sign of life; it must not go on with that phase."""
        version = self._parts.state.changes.version()
        if self._job is None or version == self._seen:
            return
        self._seen = version
        run = self._runs.current()
        if run is None or (run.id, run.phase) != self._phase:
            self._job, self._seen = None, None

    def _look(self, offsets: Offsets, now: int) -> bool:
        """See whether there is a run, and what this worker has to do in it."""
        if now < self._not_before:
            return False
        version = self._parts.state.changes.version()
        if version == self._seen and now < self._look_at:
            return False
        self._seen, self._look_at = version, now + LOOK_US
        run = self._runs.current()
        if run is None:
            return False
        progress = self._runs.progress(run)
        if has_completed(progress, run.phase):
            return self._runs.advance(run)
        self._job, self._phase = self._begin(run, progress, offsets()), (run.id, run.phase)
        return True

    def _begin(self, run: Run, progress: WorkerRun, offsets: dict[int, int]) -> Wait:
        parts = self._parts
        recorder = Recorder(parts.state, parts.writing, parts.clock, parts.lease, parts.plans, run, progress)
        if self._failures >= MOST_FAILURES:
            return self._give_up(recorder, run)
        if run.phase is Phase.WORK:
            return Work(parts, run, recorder, offsets).steps()
        if run.phase is Phase.INIT:
            return self._init(recorder, run)
        return self._finalize(recorder, run, progress)

    def _init(self, recorder: Recorder, run: Run) -> Wait:
        """Types without snapshots lose those they had. Every worker sees to that in every run: any other one
        may be missing, and so may the run after the change. Mostly there is nothing to remove."""
        parts = self._parts
        stored = [number for number, plan in parts.plans.types.items() if plan.stored]
        removal = parts.executor.submit(parts.state.snapshots.remove_types, stored)
        yield from finished(removal)
        removal.result()
        yield from self._call(parts.hooks.init, recorder, run)

    def _finalize(self, recorder: Recorder, run: Run, progress: WorkerRun) -> Wait:
        parts = self._parts
        lost = {*run.detail.get("missing", ()), *run.detail.get("unfinished", ())}
        if lost - {parts.lease.index}:
            yield from Work(parts, run, recorder, {}).report_lost(lost)
        yield from self._call(parts.hooks.finalize, recorder, run)
        if progress.done == Phase.WORK and parts.lease.index not in lost and "cut_short" not in run.detail:
            parts.flags.lower(run.id)

    def _call(self, hooks: Iterable[Hook], recorder: Recorder, run: Run) -> Wait:
        """Call init or finalize hooks in the order of registration."""
        called: Future[Effects] = self._parts.executor.submit(self._effects_of, hooks)
        yield from finished(called)
        recorder.effects(called.result())
        recorder.complete(run.phase)

    def _effects_of(self, hooks: Iterable[Hook]) -> Effects:
        effects = Effects()
        for hook in hooks:
            self._parts.caller.call(hook, ("", ""), "", effects)
        return effects

    def _fail(self, error: Exception, now: int) -> None:
        """Something failed that is not one entity's: go on later from the mark."""
        self._parts.writing.abandon()
        self._job, self._seen, self._not_before = None, None, now + RETRY_US
        if isinstance(error, StoreFull):
            logger.error("snapshots can not be written, waiting: %s", error)
            return
        self._failures += 1
        logger.error("snapshot work failed (%d)", self._failures, exc_info=error)

    def _give_up(self, recorder: Recorder, run: Run) -> Wait:
        """End this worker's part of the phase: its partitions are not completed in this run."""
        logger.error("worker %d gives up its part of snapshot run %d", self._parts.lease.index, run.id)
        recorder.report(gave_up=[self._parts.lease.index])
        if run.phase is Phase.WORK:
            recorder.report(unfinished=[self._parts.lease.index])
        recorder.complete(run.phase)
        yield None
