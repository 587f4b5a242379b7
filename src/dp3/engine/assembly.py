"""Puts a worker together: the one composition, for the program and for tests."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from datetime import timedelta
from typing import Any

from dp3.config.loading import Configuration
from dp3.engine.context import Context
from dp3.engine.control import ControlHandler
from dp3.engine.ingest.attempts import Attempts
from dp3.engine.ingest.cursor import Cursor
from dp3.engine.ingest.entities import EntityIndex
from dp3.engine.ingest.hooks import TaskHooks
from dp3.engine.ingest.micro_batches import MicroBatches, MicroBatchLimits
from dp3.engine.ingest.outbox import OutboxDrainer
from dp3.engine.jobs.control import ControlMessages
from dp3.engine.jobs.garbage import DeletedRows, DrainedRows
from dp3.engine.jobs.history.job import HistoryUpkeep
from dp3.engine.jobs.job import Job, JobRunner, Work
from dp3.engine.jobs.lifetimes.collector import Collector
from dp3.engine.jobs.lifetimes.tombstones import Sweeper
from dp3.engine.jobs.snapshots.calling import HookCaller
from dp3.engine.jobs.snapshots.cleaning import CleaningSettings, SnapshotCleaning
from dp3.engine.jobs.snapshots.phases import SnapshotWork
from dp3.engine.jobs.snapshots.plans import Limits
from dp3.engine.jobs.snapshots.setup import SnapshotSettings, make_snapshot_work
from dp3.engine.jobs.updates.creation import CreationRefresh
from dp3.engine.jobs.updates.groups import make_groups
from dp3.engine.jobs.updates.periodic import PeriodicHooks, UpdateSchedule
from dp3.engine.jobs.updates.visits import Visits
from dp3.engine.plans import make_plans
from dp3.engine.worker import Ingest, Worker
from dp3.hooks.guard import Guard
from dp3.hooks.pool import DaemonPool
from dp3.hooks.registration import HookRegistration
from dp3.hooks.table import HookTable


class Assembly:
    """A worker for a model and the hooks that modules registered, and those of its parts that others use:
    `outbox` has a thread to be started and stopped, `snapshots` and `history` take requests.

    `refresh_module` has a module by name load its configuration again; `more` are further jobs. `executor`,
    if given, takes the place of all threads but those in which periodic hooks run: these may wait for ever.
    """

    def __init__(
        self,
        context: Context,
        config: Configuration,
        registrations: Sequence[HookRegistration],
        attempts: Attempts,
        refresh_module: Callable[[str], dict[str, Any]],
        stop: threading.Event,
        *,
        more: Sequence[Job] = (),
        executor: Executor | None = None,
    ) -> None:
        core = config.processing_core
        self._context = context
        self._config = config
        self._registrations = registrations
        self._guard = Guard(context.watch, core.max_tasks_per_hook)
        self._pool = executor or DaemonPool(core.worker_threads, "hooks")
        # A thread that reads ahead and writes behind; more would take turns with the worker on two cores.
        self._snapshot_io = executor or DaemonPool(1, "snapshots")
        self._update_io = executor or DaemonPool(1, "update-reader")
        self._table = HookTable(registrations)
        self._task_hooks = TaskHooks(
            self._table, self._guard, config.model, core.max_generations, context.clock
        )
        self._plans = make_plans(config.model, context.store, self._table)
        self._cursor = Cursor(context.log, context.store, context.lease.index, context.lease.worker_processes)
        self._deleted = DeletedRows(context)
        self.outbox = OutboxDrainer(context.log, context.store, context.lease)
        self.snapshots = self._make_snapshots()
        self.history = HistoryUpkeep(context, config.model, self._plans, config.history_manager)
        jobs = [*self._make_jobs(attempts, refresh_module), *more]
        self.jobs = JobRunner(jobs, context.clock, self.outbox.wake)
        self.worker = Worker(
            context, self._make_ingest(attempts, stop), self.jobs, self.snapshots.settle, stop
        )

    def _make_ingest(self, attempts: Attempts, stop: threading.Event) -> Ingest:
        core, context = self._config.processing_core, self._context
        entities = EntityIndex(context.store, core.entity_cache_size)
        limits = MicroBatchLimits(core.batch_time_limit.total_seconds(), core.worker_threads)
        return Ingest(
            context=context,
            cursor=self._cursor,
            plans=self._plans,
            entities=entities,
            hooks=MicroBatches(self._task_hooks, self._plans, entities, self._pool, limits),
            attempts=attempts,
            outbox=self.outbox,
            batch_limit_s=limits.batch_s,
            deleted=self._deleted.request,
            stop=stop,
        )

    def _make_jobs(
        self, attempts: Attempts, refresh_module: Callable[[str], dict[str, Any]]
    ) -> Iterator[Job]:
        """All jobs, in the order of their turns."""
        context, config = self._context, self._config
        creation = CreationRefresh(context, config.model, self._registrations, self._make_visits())
        handler = ControlHandler(
            context.store, self._table, self._task_hooks, self.snapshots.request, refresh_module
        )
        yield ControlMessages(context, handler, attempts, creation, self.snapshots.settle)
        yield SteppedJob("snapshot run", lambda: self.snapshots.step(self._cursor.offsets, may_block=True))
        yield from self._make_periodic_hooks()
        yield creation
        yield Collector(context, self._plans, config.garbage_collector, self._cursor.offsets)
        yield Sweeper(context)
        yield self.history
        yield self._make_cleaning()
        yield self._deleted
        yield DrainedRows(context, self.outbox)

    def _make_periodic_hooks(self) -> Iterator[Job]:
        context, updater = self._context, self._config.updater
        groups = [
            PeriodicHooks(context, group, self._make_visits(), updater.update_batch_period)
            for group in make_groups(self._config.model, context.store, self._registrations)
        ]
        if groups:
            yield UpdateSchedule(context, groups, updater)
        yield from groups

    def _make_visits(self) -> Visits:
        caller = HookCaller(self._guard, self._context.clock, self._context.store.partitions)
        return Visits(self._context, caller, self._update_io, self._config.processing_core.worker_threads)

    # -- until snapshots are jobs ----------------------------------------------------------------------
    def _make_snapshots(self) -> SnapshotWork:
        section = self._config.snapshots
        limits = Limits(section.keep_empty, section.max_component)
        settings = SnapshotSettings(
            section.creation_rate, limits, self._config.processing_core.worker_threads
        )
        return make_snapshot_work(
            self._context,
            self._config.model,
            self._registrations,
            self._guard,
            self._pool,
            self._snapshot_io,
            settings,
        )

    def _make_cleaning(self) -> Job:
        section, context = self._config.history_manager.snapshot_cleaning, self._context
        settings = CleaningSettings(section.schedule, section.older_than // timedelta(microseconds=1))
        cleaning = SnapshotCleaning(context.store, context.clock, context.lease, settings)
        return SteppedJob("cleaning of snapshots", lambda: cleaning.step(may_block=True), every=16)


class SteppedJob:
    """Work that is not a job yet."""

    watches = False
    wake_at = 0

    def __init__(self, name: str, step: Callable[[], bool], every: int = 1) -> None:
        self.name = name
        self.every = every
        self._step = step

    def begin(self, now: int, failures: int) -> Work | None:
        return self._through() if self._step() else None

    def _through(self) -> Work:
        yield from ()
