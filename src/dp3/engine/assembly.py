"""Puts a worker together."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from dp3.config.sections import SnapshotCleaningSettings, SnapshotsSettings
from dp3.engine.context import Context
from dp3.engine.control import ControlHandler
from dp3.engine.ingest.attempts import Attempts
from dp3.engine.ingest.cursor import Cursor
from dp3.engine.ingest.entities import EntityIndex
from dp3.engine.ingest.hooks import TaskHooks
from dp3.engine.ingest.outbox import OutboxDrainer
from dp3.engine.jobs.history.work import HistorySettings, make_history_work
from dp3.engine.jobs.hook_effects import HookCaller
from dp3.engine.jobs.lifetimes.work import make_lifetime_work
from dp3.engine.jobs.schedule import ticks_of
from dp3.engine.jobs.snapshots.cleaning import SnapshotCleaningJob
from dp3.engine.jobs.snapshots.job import SnapshotJob
from dp3.engine.jobs.snapshots.plans import SnapshotPlans
from dp3.engine.jobs.snapshots.writing import BackgroundIo
from dp3.engine.jobs.stepped import Stepped
from dp3.engine.jobs.thread_pool import HookThreads
from dp3.engine.jobs.updates.work import UpdateSettings, make_update_work
from dp3.engine.plans import make_plans
from dp3.engine.worker import WorkerParts
from dp3.hooks.guard import Guard
from dp3.hooks.registration import HookRegistration
from dp3.hooks.table import HookTable
from dp3.model.spec import ModelSpec

Cron = Mapping[str, Any]
"""The arguments of a cron trigger."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What of a worker is configured. `entities`: how many are remembered; `generations`: of tasks that hooks
    return for tasks of hooks."""

    batch_s: float
    threads: int
    generations: int
    entities: int
    snapshots: SnapshotsSettings
    cleaning: SnapshotCleaningSettings
    updates: UpdateSettings
    collection: Cron
    history: HistorySettings


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What a worker calls hooks and others with. `io` is for what a run of snapshots reads and writes
    meanwhile; `refresh_module` has a module by name load its configuration again."""

    guard: Guard
    executor: Executor
    io: Executor
    attempts: Attempts
    outbox: OutboxDrainer
    refresh_module: Callable[[str], dict[str, Any]]


def worker_parts(
    context: Context,
    settings: WorkerSettings,
    model: ModelSpec,
    registrations: Sequence[HookRegistration],
    means: Dependencies,
) -> WorkerParts:
    """The parts of a worker for a model and the hooks that modules registered."""
    log, store, clock, lease = context.log, context.store, context.clock, context.lease
    table, guard, executor = HookTable(registrations), means.guard, means.executor
    task_hooks = TaskHooks(table, guard, model, settings.generations, clock)
    plans, entities = make_plans(model, store, table), EntityIndex(store, settings.entities)
    cursor = Cursor(log, store, lease.index, lease.worker_processes)
    snapshot_plans = SnapshotPlans(model, store.names, registrations, settings.snapshots)
    io = BackgroundIo(store.snapshots, lease, means.io)
    snapshots = SnapshotJob(
        context,
        snapshot_plans,
        HookCaller(guard, clock, store.partitions),
        HookThreads(executor, settings.waves.threads),
        io,
        ticks_of(settings.snapshots.creation_rate, clock.now_us()),
        cursor.offsets,
    )
    cleaning = SnapshotCleaningJob(
        store.cleaning,
        lease,
        ticks_of(settings.cleaning.schedule, clock.now_us()),
        settings.cleaning.older_than // timedelta(microseconds=1),
    )
    refresh = means.refresh_module
    return WorkerParts(
        store=store,
        lease=lease,
        reader=reader,
        make_ingest=make_ingest,
        attempts=means.attempts,
        outbox=means.outbox,
        control=ControlHandler(store, lease.index, table, task_hooks, snapshots.request, refresh),
        cursor=cursor,
        io=io,
        snapshots=snapshots,
        runs=Stepped([snapshots], clock, store.changes),
        cleaning=Stepped([cleaning], clock, store.changes),
        updates=make_update_work(context, model, registrations, guard, settings.updates),
        lifetimes=make_lifetime_work(context, plans, settings.collection),
        history=make_history_work(context, model, plans, settings.history, context.statistics),
    )
