"""Puts a worker together: the one composition, for the program and for tests."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from typing import Any

from dp3.clock import duration_us
from dp3.config.loading import Configuration
from dp3.engine.context import Context
from dp3.engine.ingest.attempts import Attempts
from dp3.engine.ingest.entities import EntityIndex
from dp3.engine.ingest.hooks import TaskHooks
from dp3.engine.ingest.micro_batches import MicroBatches
from dp3.engine.ingest.outbox import OutboxDrainer
from dp3.engine.ingest.reader import Reader
from dp3.engine.ingest.step import Ingest
from dp3.engine.jobs.control import ControlHandler, ControlMessages
from dp3.engine.jobs.garbage import DeletedRows, DrainedRows
from dp3.engine.jobs.history.job import HistoryUpkeep
from dp3.engine.jobs.hook_effects import HookCaller
from dp3.engine.jobs.job import Job, JobRunner, Schedule
from dp3.engine.jobs.lifetimes import Collector, Sweeper
from dp3.engine.jobs.snapshots.cleaning import SnapshotCleaningJob
from dp3.engine.jobs.snapshots.job import SnapshotJob
from dp3.engine.jobs.snapshots.plans import SnapshotPlans
from dp3.engine.jobs.snapshots.writing import BackgroundIo
from dp3.engine.jobs.thread_pool import HookThreads
from dp3.engine.jobs.updates.creation import CreationRefresh
from dp3.engine.jobs.updates.periodic import PeriodicHooks, UpdateSchedule
from dp3.engine.jobs.updates.visits import Visits, make_groups
from dp3.engine.plans import make_plans
from dp3.engine.worker import Worker
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
        self._guard = Guard(context.watch, core.max_tasks_per_hook, config.api.max_value, context.failures)
        self._pool = executor or DaemonPool(core.worker_threads, "hooks")
        # A thread that writes behind; more would take turns with the worker on two cores.
        self._snapshot_io = executor or DaemonPool(1, "snapshots")
        self._update_io = executor or DaemonPool(1, "update-reader")
        self._table = HookTable(registrations)
        self._task_hooks = TaskHooks(
            self._table, self._guard, config.model, core.max_generations, context.clock
        )
        state, lease = context.store, context.lease
        self._plans = make_plans(config.model, state.names, self._table)
        self._reader = Reader(context.log, state.batches, state.models, lease.index, lease.worker_processes)
        self._deleted = DeletedRows(context)
        self._caller = HookCaller(self._guard, context.clock, state.partitions, attempts.calls)
        self._io = BackgroundIo(state.snapshots, lease, self._snapshot_io)
        self.outbox = OutboxDrainer(context.log, state, lease, context.damage.note)
        self.snapshots = self._make_snapshots()
        self.history = HistoryUpkeep(context, config.model, self._plans, config.history_manager)
        jobs = [*self._make_jobs(attempts, refresh_module), *more]
        self.jobs = JobRunner(jobs, context.clock, context.clock_watch, self.outbox.wake)
        self.worker = Worker(context, self._make_ingest(attempts, stop), self.jobs, self._io.flush, stop)

    def _make_ingest(self, attempts: Attempts, stop: threading.Event) -> Ingest:
        core, context = self._config.processing_core, self._context
        entities = EntityIndex(context.store.entities, core.entity_cache_size)
        batch_s = core.batch_time_limit.total_seconds()
        return Ingest(
            context=context,
            reader=self._reader,
            plans=self._plans,
            entities=entities,
            hooks=MicroBatches(
                self._task_hooks, self._plans, entities, self._pool, batch_s, core.worker_threads, attempts
            ),
            attempts=attempts,
            outbox=self.outbox,
            batch_limit_s=batch_s,
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
        yield ControlMessages(context, handler, attempts, creation, self._io.flush)
        yield self.snapshots
        yield from self._make_periodic_hooks()
        yield creation
        yield Collector(context, self._plans, config.garbage_collector, self._reader.offsets)
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
        return Visits(
            self._context, self._caller, self._update_io, self._config.processing_core.worker_threads
        )

    def _make_snapshots(self) -> SnapshotJob:
        context, section = self._context, self._config.snapshots
        return SnapshotJob(
            context,
            SnapshotPlans(self._config.model, context.store, self._registrations, section),
            self._caller,
            HookThreads(self._pool, self._config.processing_core.worker_threads),
            self._io,
            Schedule(section.creation_rate, context.clock.now_us()),
            self._reader.offsets,
        )

    def _make_cleaning(self) -> SnapshotCleaningJob:
        context, section = self._context, self._config.history_manager.snapshot_cleaning
        return SnapshotCleaningJob(
            context,
            Schedule(section.schedule, context.clock.now_us()),
            duration_us(section.older_than),
        )
