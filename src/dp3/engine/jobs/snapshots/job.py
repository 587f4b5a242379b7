"""Snapshot runs as one worker sees them: when one begins, in which phase it is, what is to be done."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dp3.clock import Clock
from dp3.engine.context import Context
from dp3.engine.jobs.hook_effects import Effects, HookCaller
from dp3.engine.jobs.job import Schedule, Work, finished
from dp3.engine.jobs.snapshots.correlate import Correlator
from dp3.engine.jobs.snapshots.dirty import CHANGES_LANE
from dp3.engine.jobs.snapshots.plans import SnapshotPlans
from dp3.engine.jobs.snapshots.refresh import Flags, divide
from dp3.engine.jobs.snapshots.work import RunWork
from dp3.engine.jobs.snapshots.writing import BackgroundIo, RunWriter
from dp3.engine.jobs.thread_pool import HookThreads
from dp3.engine.silence import Silence
from dp3.hooks.table import Hook
from dp3.store.ports.leases import Lease, Leases
from dp3.store.ports.runs import GETS_MORE, Phase, Run, Runs, WorkerRun

LOOK_US = 1_000_000
"""The worker looks so often for others that are waited for, and, while it works, whether they still wait for
it, however little happens in the state."""

MOST_FAILURES = 3
"""So many failures in a row end this worker's part of a phase."""

MISSING_AFTER_US = 60_000_000
"""A worker that gave no sign of life for so long is not waited for."""

OLDEST_US = 86_400_000_000
"""A run is given up after a day."""

NEARLY_NOW_US = 60_000_000
"""A run that lies further in the future was begun when the clock was wrong."""

_ORDER = list(Phase)

logger = logging.getLogger(__name__)


class SnapshotJob:
    """Opens runs at the moments of `schedule` and does one worker's part of the open one, phase by phase:
    init hooks, the work, finalize hooks. `offsets` tells how far the worker is in each lane of the log.

    `begin` looks at the open run whenever the state changes: another worker may have completed its part.
    """

    name = "snapshot run"
    watches = True
    every = 1

    def __init__(
        self,
        context: Context,
        plans: SnapshotPlans,
        caller: HookCaller,
        threads: HookThreads,
        io: BackgroundIo,
        schedule: Schedule,
        offsets: Callable[[], Mapping[int, int]],
    ) -> None:
        self._context = context
        self._clock = context.clock
        self._plans = plans
        self._caller = caller
        self._threads = threads
        self._io = io
        self._schedule = schedule
        self._offsets = offsets
        self._flags = Flags(plans.hooks.refreshed)
        state = context.store
        self._runs = RunCoordinator(state.runs, state.leases, context.clock, context.lease, plans)
        self._looked_at = 0
        self.wake_at = 0

    def request(self) -> Run | None:
        """Open a run now; None if one is open. Called for a control message."""
        return self._runs.open_now()

    def begin(self, now: int, failures: int) -> Work | None:
        """See whether there is a run, and go on with it if this worker has something to do in it."""
        tick = self._schedule.due(now)
        if tick is not None:
            self._runs.open(tick)
        run = self._runs.current()
        self._looked_at = now
        self.wake_at = self._schedule.next if run is None else min(self._schedule.next, now + LOOK_US)
        if run is None:
            return None
        self._io.abandon()  # what is left of work that failed: the checkpoint may still be under way
        progress = self._runs.progress(run)
        if has_completed(progress, run.phase):
            run = self._runs.advance(run, progress)
        return None if run is None else self._go_on(run, progress, failures)

    def _go_on(self, run: Run, progress: WorkerRun, failures: int) -> Work:
        """Do this worker's part of phase after phase, until others are waited for or the run is over."""
        writer = RunWriter(self._context, self._plans, self._io, run, progress)
        following: Run | None = run
        while following is not None:
            for awaited in self._phase(following, writer, failures):
                yield awaited
                if self._is_over(following):
                    return
            following = self._runs.advance(following, writer.progress)
            if failures:
                break  # begun again for the next phase, with no failures
        self._schedule.passed(self._clock.now_us())  # no moment counts while a run is open

    def _is_over(self, run: Run) -> bool:
        """True if others went on without this worker, because it gave no sign of life, or cut the run short.
        Asked after each piece: the phase must not be gone on with then."""
        now = self._clock.now_us()
        if abs(now - self._looked_at) < LOOK_US:
            return False
        self._looked_at = now
        current = self._runs.current()
        return current is None or (current.id, current.phase) != (run.id, run.phase)

    # -- phases ----------------------------------------------------------------------------------------
    def _phase(self, run: Run, writer: RunWriter, failures: int) -> Work:
        if failures >= MOST_FAILURES:
            return self._give_up(run, writer)
        if run.phase is Phase.INIT:
            return self._init(writer)
        return self._work(run, writer) if run.phase is Phase.WORK else self._finalize(run, writer)

    def _init(self, writer: RunWriter) -> Work:
        """Types without snapshots lose those they had. Every worker sees to that in every run: any other one
        may be missing, and so may the run after the change. Mostly there is nothing to remove."""
        stored = [number for number, plan in self._plans.types.items() if plan.stored]
        removal = self._threads.submit(self._context.store.snapshots.remove_types, stored)
        yield from finished(removal)
        removal.result()
        yield from self._call(self._plans.hooks.init, writer)
        writer.complete(Phase.INIT)

    def _work(self, run: Run, writer: RunWriter) -> Work:
        if not writer.checkpoint.offsets:
            changes = self._context.store.links.last_change()
            writer.note_offsets({**self._offsets(), CHANGES_LANE: changes})
            if refresh := self._flags.take(run.id):
                writer.note_refresh(refresh)
        return self._run_work(run, writer).steps()

    def _finalize(self, run: Run, writer: RunWriter) -> Work:
        index = self._context.lease.index
        lost = {*run.detail.get("missing", ()), *run.detail.get("unfinished", ())}
        if lost - {index}:
            yield from self._run_work(run, writer).report_lost(lost)
        yield from self._call(self._plans.hooks.finalize, writer)
        worked = writer.progress.done == Phase.WORK
        writer.complete(Phase.FINALIZE)
        if worked and index not in lost and "cut_short" not in run.detail:
            self._flags.lower(run.id)

    def _give_up(self, run: Run, writer: RunWriter) -> Work:
        """End this worker's part of the phase: its partitions are not completed in this run."""
        index = self._context.lease.index
        logger.error("worker %d gives up its part of snapshot run %d", index, run.id)
        writer.report(gave_up=[index])
        if run.phase is Phase.WORK:
            writer.report(unfinished=[index])
        writer.complete(run.phase)
        yield None

    def _run_work(self, run: Run, writer: RunWriter) -> RunWork:
        division = divide(self._plans, writer.checkpoint.refresh)
        correlator = Correlator(self._plans, self._caller, division, run.time)
        return RunWork(self._context, self._plans, correlator, self._threads, self._io, writer)

    def _call(self, hooks: Iterable[Hook], writer: RunWriter) -> Work:
        """Call init or finalize hooks in the order of registration."""
        if hooks:
            with self._caller.attempts.under_way():
                called = self._threads.submit(self._effects_of, hooks)
                yield from finished(called)
            writer.add_effects(called.result())

    def _effects_of(self, hooks: Iterable[Hook]) -> Effects:
        effects = Effects()
        for hook in hooks:
            self._caller.call(hook, ("", ""), "", effects)
        return effects


class RunCoordinator:
    """The life of runs: opened once, phase by phase on all workers, closed whatever happens.

    Every worker brings the run to its next phase when it sees that all have completed the present one, so
    nothing depends on a particular worker.
    """

    def __init__(self, runs: Runs, leases: Leases, clock: Clock, lease: Lease, plans: SnapshotPlans) -> None:
        self._runs = runs
        self._leases = leases
        self._clock = clock
        self._lease = lease
        self._fingerprint = plans.fingerprint
        self._get_more = plans.get_more
        self._silence = Silence(clock)

    def open(self, time: int) -> Run | None:
        """Open a run for the moment `time` (µs), unless one is open or was for this moment or a later one."""
        run = self._runs.begin(time, self._fingerprint, self._lease.worker_processes)
        if run is not None:
            logger.info("snapshot run %d begins", run.id)
        return run

    def open_now(self) -> Run | None:
        """Open a run for this moment, or just after that of the last one, unless one is open."""
        now, last = self._clock.now_us(), self._runs.last(1)
        is_just_over = bool(last) and now <= last[0].time <= now + NEARLY_NOW_US
        return self.open(last[0].time + 1 if is_just_over else now)

    def current(self) -> Run | None:
        """The open run, if this worker takes part in it. One that can not be completed goes to its end, and
        what was completed of it does not count: linked entities of a worker may have been left to others."""
        run = self._runs.open()
        if run is None or self._lease.index in run.detail.get("missing", ()):
            return None
        age_us = self._clock.now_us() - run.started
        reason = self._unfit(run, age_us)
        if reason and run.phase in (Phase.INIT, Phase.WORK):
            logger.warning("snapshot run %d is cut short: %s", run.id, reason)
            self._runs.advance(run.id, Phase.FINALIZE, "", {"cut_short": reason}, void=True)
            return self._runs.open()
        if reason and age_us > 2 * OLDEST_US:
            self._close(run, {})
            return None
        return run

    def _unfit(self, run: Run, age_us: int) -> str:
        """The reason why the run can not be completed as it was begun; empty if it can."""
        processes = self._lease.worker_processes
        if run.workers != processes:
            return f"it was begun by {run.workers} workers, now there are {processes}"
        if run.fingerprint != self._fingerprint:
            return "the model or the hooks have changed since it was begun"
        return "it was begun more than a day ago" if age_us > OLDEST_US else ""

    def progress(self, run: Run) -> WorkerRun:
        """The progress of this worker in a run."""
        index = self._lease.index
        found = (row for row in self._runs.workers(run.id) if row.worker == index)
        return next(found, WorkerRun(run.id, index, "", {}, 0, 0, 0, 0))

    def advance(self, run: Run, own: WorkerRun) -> Run | None:
        """Bring the run to its next phase if nobody is waited for any more: `own`, the progress of this
        worker, is completed. Returns the run if this worker has something to do in that phase."""
        rows = {own.worker: own}
        if max(run.workers, self._lease.worker_processes) > 1:
            rows |= {row.worker: row for row in self._runs.workers(run.id)}
        missing = set(run.detail.get("missing", ()))
        awaited = {
            worker
            for worker in range(self._lease.worker_processes)
            if worker not in missing and not has_completed(rows.get(worker), run.phase)
        }
        lost = self._silent(awaited, run)
        if awaited - lost:
            return None
        detail: dict[str, Any] = {}
        if lost:
            logger.warning("snapshot run %d goes on without workers %s", run.id, sorted(lost))
            detail["missing"] = sorted(missing | lost)
        detail |= _merged(row.checkpoint.get("report", {}) for row in rows.values())
        if run.phase is Phase.FINALIZE:
            self._close(run, detail, sum(row.checkpoint.get("hook_failures", 0) for row in rows.values()))
            return None
        self._runs.advance(run.id, _ORDER[_ORDER.index(run.phase) + 1], "", detail)
        current = self.current()
        return current if current is not None and current.id == run.id else None

    def _silent(self, workers: set[int], run: Run) -> set[int]:
        """The workers of which nothing was heard for too long, since the phase began."""
        beats = {state.lease.index: state.heartbeat for state in self._leases.all()} if workers else {}
        now = self._clock.now_us()
        silent = {
            worker: self._silence.of_us(
                worker,
                (beats.get(worker), run.id, run.phase),
                now - max(beats.get(worker, 0), run.updated),
            )
            for worker in workers
        }
        return {worker for worker, silent_us in silent.items() if silent_us > MISSING_AFTER_US}

    def _close(self, run: Run, detail: dict[str, Any], hook_failures: int = 0) -> None:
        status = _status(run.detail | detail)
        if self._get_more:
            detail = detail | {GETS_MORE: self._get_more}
        self._runs.advance(run.id, Phase.CLOSED, status, detail)
        logger.info("snapshot run %d is over: %s", run.id, status)
        if hook_failures:
            logger.warning("calls of hooks that failed in snapshot run %d: %d", run.id, hook_failures)


def has_completed(row: WorkerRun | None, phase: Phase) -> bool:
    """True if a worker has done its part of a phase."""
    return row is not None and row.done != "" and _ORDER.index(Phase(row.done)) >= _ORDER.index(phase)


def _merged(reports: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The reports of the workers about their work, as one: counts add up, lists follow each other."""
    merged: dict[str, Any] = {}
    for report in reports:
        for name, value in report.items():
            merged[name] = merged[name] + value if name in merged else value
    return merged


def _status(detail: dict[str, Any]) -> str:
    reasons = []
    if "cut_short" in detail:
        reasons.append(detail["cut_short"])
    if detail.get("missing"):
        workers = ", ".join(map(str, detail["missing"]))
        reasons.append(f"no sign of life of worker {workers}")
    if detail.get("gave_up"):
        workers = ", ".join(map(str, detail["gave_up"]))
        reasons.append(f"failures in worker {workers}, see its log")
    return f"partial: {'; '.join(reasons)}" if reasons else "complete"
