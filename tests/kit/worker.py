"""The one assembly of a worker: only this file of the tests knows the parts that a worker is made of."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from dp3.engine.assembly import Dependencies, WorkerSettings, worker_parts
from dp3.engine.context import Context
from dp3.engine.ingest.attempts import Attempts
from dp3.engine.ingest.micro_batches import MicroBatchLimits
from dp3.engine.ingest.outbox import OutboxDrainer
from dp3.engine.jobs.history.packing import PackLimits
from dp3.engine.jobs.history.work import CLEANING, PACKING, HistorySettings
from dp3.engine.jobs.snapshots.cleaning import CleaningSettings
from dp3.engine.jobs.snapshots.plans import Limits
from dp3.engine.jobs.snapshots.setup import SnapshotSettings
from dp3.engine.jobs.updates.work import UpdateSettings
from dp3.engine.statistics import Statistics
from dp3.engine.worker import Worker
from dp3.hooks.guard import Guard
from dp3.hooks.pool import DaemonPool
from dp3.hooks.registrar import CallbackRegistrar
from dp3.hooks.watch import HookWatch
from dp3.log.port import Lane
from dp3.store.ports.runs import Run
from kit.place import LEASE_TTL_S, NEVER, Cron, Place

HOOK_TIMEOUT_S, HOOK_HANG_S, MOST_TASKS = 10, 60, 100
ANY_PACK = PackLimits()
OUTBOX_STOP_S = 10.0


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of a worker. Nothing is done by a schedule unless one is given.

    `threads` call hooks; without any, hooks are called where the worker is stepped. With `drains` a thread
    brings the tasks of hooks to the log; otherwise `drain` does. `runs` is when snapshot runs begin.
    """

    index: int = 0
    processes: int = 1
    threads: int = 1
    drains: bool = False
    batch_s: float = 10.0
    generations: int = 16
    runs: Cron | None = None
    keep_empty: bool = True
    max_component: int = 100_000
    run_cleaning: Cron | None = None
    runs_older_than_us: int = 0
    updates: Cron | None = None
    update_cleaning: Cron | None = None
    batch_minutes: int = 5
    collection: Cron | None = None
    cleaning: Cron | None = None
    limits: PackLimits = ANY_PACK
    statistics: Statistics | None = None

    def settings(self) -> WorkerSettings:
        """The settings that the program would read from configuration files."""
        threads = max(self.threads, 1)
        bounds = Limits(self.keep_empty, self.max_component)
        period = timedelta(minutes=self.batch_minutes)
        return WorkerSettings(
            waves=MicroBatchLimits(self.batch_s, threads),
            generations=self.generations,
            entities=1_000,
            snapshots=SnapshotSettings(self.runs or NEVER, bounds, threads),
            cleaning=CleaningSettings(self.run_cleaning or NEVER, self.runs_older_than_us),
            updates=UpdateSettings(self.updates or NEVER, period, self.update_cleaning or NEVER, 3, threads),
            collection=self.collection or NEVER,
            history=HistorySettings(NEVER, self.cleaning or NEVER, self.limits),
        )


class CallingThread(Executor):
    """Does what is submitted before `submit` returns."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class SteppedWorker:
    """A worker that holds its lease until it is stopped, and does something only when a method is called."""

    def __init__(self, place: Place, registrar: CallbackRegistrar, options: Options) -> None:
        self._place = place
        self._stopping = threading.Event()
        self._drains = options.drains
        self.lease = place.store.leases.take(options.index, options.processes, "host", 1, LEASE_TTL_S)
        place.store.leases.heartbeat(self.lease, "working")
        executor = DaemonPool(options.threads, "hooks") if options.threads else CallingThread()
        self._attempts = Attempts(place.directory / "run" / f"{options.index}.attempt")
        self._outbox = OutboxDrainer(place.log, place.store, self.lease)
        means = Dependencies(
            guard=Guard(HookWatch(HOOK_TIMEOUT_S, HOOK_HANG_S), MOST_TASKS),
            executor=executor,
            io=executor,
            attempts=self._attempts,
            outbox=self._outbox,
            refresh_module=lambda name: {},
            statistics=options.statistics or Statistics(),
        )
        context = Context(place.log, place.store, place.clock, self.lease)
        model = registrar.model_spec
        parts = worker_parts(context, options.settings(), model, registrar.registrations, means)
        self._snapshots, self._history = parts.snapshots, parts.history
        self._worker = Worker(parts, self._stopping)
        if self._drains:
            self._outbox.start()

    # -- its work --------------------------------------------------------------------------------------
    def step(self) -> bool:
        """One piece of work; returns whether there was any."""
        return self._worker.step()

    def drain(self) -> bool:
        """Bring tasks of hooks to the log; returns whether there were any."""
        return self._outbox.drain_some()

    def finish(self) -> None:
        """Until there is nothing to do."""
        while self.step() or (not self._drains and self.drain()):
            pass

    @contextmanager
    def in_background(self) -> Iterator[None]:
        """It works in a thread of its own while the block runs."""
        thread = threading.Thread(target=self._worker.run)
        thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            thread.join()

    # -- parts of its work -----------------------------------------------------------------------------
    def request_run(self) -> Run | None:
        """Begin a snapshot run, if none is open."""
        return self._snapshots.request()

    def go_on_with_run(self) -> bool:
        """One slice of the open run, while nothing is read from the log."""
        return self._snapshots.step(self._offsets, may_block=True)

    @contextmanager
    def without_runs(self) -> Iterator[None]:
        """It leaves snapshot runs alone."""
        with patch.object(self._worker, "_do_snapshots", lambda may_block: False):
            yield

    def request_upkeep(self, *passes: str) -> None:
        """Pack or clean history (`PACKING`, `CLEANING`) when there is nothing else to do; by default pack."""
        self._history.request(*passes)

    def upkeep(self) -> bool:
        """One slice of what was requested; returns whether there is more."""
        return self._history.step()

    # -- what is left, and its end ---------------------------------------------------------------------
    def has_tasks(self) -> bool:
        """Whether there are tasks of hooks that are not in the log yet."""
        return bool(self._place.store.outbox.pending(self.lease, 0, 1))

    def is_behind(self) -> bool:
        """Whether there is something in the log that it has not read."""
        offsets = self._offsets()
        return any(offsets[lane] < self._place.log.head(lane).offset for lane in Lane)

    def _offsets(self) -> dict[int, int]:
        """How far it is in each lane."""
        offsets: dict[int, int] = {}
        for partition, lane, offset in self._place.store.batches.positions():
            if partition % self.lease.worker_processes == self.lease.index:
                offsets[lane] = min(offset, offsets.get(lane, offset))
        return offsets

    def stop(self) -> None:
        """End in order."""
        self.die()
        self._attempts.close()
        self._place.store.leases.release(self.lease)

    def die(self) -> None:
        """Nothing is done any more, and nobody says so."""
        if self._drains:
            self._outbox.stop(OUTBOX_STOP_S)


def settle(*workers: SteppedWorker, most: int = 5_000) -> None:
    """Step the workers in turn until there is nothing to do for any of them and no run is open."""
    for _ in range(most):
        busy = [worker.step() for worker in workers]
        if not any(busy) and workers[0]._place.store.runs.open() is None:
            return
    raise AssertionError("the workers do not come to rest")


__all__ = ["CLEANING", "NEVER", "PACKING", "Options", "PackLimits", "SteppedWorker", "settle"]
