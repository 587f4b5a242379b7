"""The life of a run: opened once, phase by phase on all workers, closed whatever happens."""

import logging
from collections.abc import Iterable
from typing import Any

from dp3.clock import Clock
from dp3.store.ports.leases import Lease
from dp3.store.ports.runs import Phase, Run, WorkerRun
from dp3.store.ports.state import State

MISSING_AFTER_US = 60_000_000
"""A worker that gave no sign of life for so long is not waited for."""

OLDEST_US = 86_400_000_000
"""A run is given up after a day."""

_ORDER = list(Phase)

logger = logging.getLogger(__name__)


class Runs:
    """What one worker does about the run that is open, apart from the work itself.

    Every worker brings the run to its next phase when it sees that all have completed the present one, so
    nothing depends on a particular worker. `fingerprint` stands for model and hooks.
    """

    def __init__(self, state: State, clock: Clock, lease: Lease, fingerprint: str) -> None:
        self._state = state
        self._clock = clock
        self._lease = lease
        self._fingerprint = fingerprint

    def open(self, time: int) -> Run | None:
        """Open a run for the moment `time` (µs), unless one is open or was for this moment or a later one."""
        run = self._state.runs.begin(time, self._fingerprint, self._lease.worker_processes)
        if run is not None:
            logger.info("snapshot run %d begins", run.id)
        return run

    def open_now(self) -> Run | None:
        """Open a run for this moment, unless one is open."""
        last = self._state.runs.last(1)
        return self.open(max(self._clock.now_us(), last[0].time + 1 if last else 0))

    def current(self) -> Run | None:
        """The open run, if this worker takes part in it. One that can not be completed goes to its end, and
        what was completed of it does not count: linked entities of a worker may have been left to others."""
        run = self._state.runs.open()
        if run is None or self._lease.index in run.detail.get("missing", ()):
            return None
        reason = self._unfit(run)
        if reason and run.phase in (Phase.INIT, Phase.WORK):
            logger.warning("snapshot run %d is cut short: %s", run.id, reason)
            self._state.runs.advance(run.id, Phase.FINALIZE, "", {"cut_short": reason}, void=True)
            return self._state.runs.open()
        if reason and self._age_us(run) > 2 * OLDEST_US:
            self._close(run, {})
            return None
        return run

    def _unfit(self, run: Run) -> str:
        """Why the run can not be completed as it was begun; empty if it can."""
        processes = self._lease.worker_processes
        if run.workers != processes:
            return f"it was begun by {run.workers} workers, now there are {processes}"
        if run.fingerprint != self._fingerprint:
            return "the model or the hooks have changed since it was begun"
        if self._age_us(run) > OLDEST_US:
            return "it was begun more than a day ago"
        return ""

    def _age_us(self, run: Run) -> int:
        return self._clock.now_us() - run.started

    def progress(self, run: Run) -> WorkerRun:
        """How far this worker is in a run."""
        index = self._lease.index
        found = (row for row in self._state.runs.workers(run.id) if row.worker == index)
        return next(found, WorkerRun(run.id, index, "", {}, 0, 0, 0, 0))

    def advance(self, run: Run) -> bool:
        """Bring the run to its next phase if nobody is waited for any more; returns whether it was."""
        rows = {row.worker: row for row in self._state.runs.workers(run.id)}
        missing = set(run.detail.get("missing", ()))
        awaited = {
            worker
            for worker in range(self._lease.worker_processes)
            if worker not in missing and not has_completed(rows.get(worker), run.phase)
        }
        lost = self._silent(awaited, run)
        if awaited - lost:
            return False
        detail: dict[str, Any] = {}
        if lost:
            logger.warning("snapshot run %d goes on without workers %s", run.id, sorted(lost))
            detail["missing"] = sorted(missing | lost)
        detail |= _merged(row.checkpoint.get("report", {}) for row in rows.values())
        if run.phase is Phase.FINALIZE:
            self._close(run, detail)
        else:
            self._state.runs.advance(run.id, _ORDER[_ORDER.index(run.phase) + 1], "", detail)
        return True

    def _silent(self, workers: set[int], run: Run) -> set[int]:
        """Those of the workers of which nothing was heard for too long, since the phase began."""
        beats = {state.lease.index: state.heartbeat for state in self._state.leases.all()} if workers else {}
        latest = self._clock.now_us() - MISSING_AFTER_US
        return {worker for worker in workers if max(beats.get(worker, 0), run.updated) < latest}

    def _close(self, run: Run, detail: dict[str, Any]) -> None:
        status = _status(run.detail | detail)
        self._state.runs.advance(run.id, Phase.CLOSED, status, detail)
        logger.info("snapshot run %d is over: %s", run.id, status)


def has_completed(row: WorkerRun | None, phase: Phase) -> bool:
    """Whether a worker has done its part of a phase."""
    return row is not None and row.done != "" and _ORDER.index(Phase(row.done)) >= _ORDER.index(phase)


def _merged(reports: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """What the workers report about their work, as one: counts add up, lists follow each other."""
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
