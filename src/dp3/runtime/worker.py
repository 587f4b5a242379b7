"""Composition of a worker process."""

import gc
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from dp3.clock import Clock, SystemClock
from dp3.config.cron import CronExpression
from dp3.config.loading import Configuration
from dp3.engine.archiving import Archiver, ArchiveSettings
from dp3.engine.attempts import Attempts
from dp3.engine.control import ControlHandler
from dp3.engine.entities import EntityIndex
from dp3.engine.heartbeat import Heartbeat
from dp3.engine.history_work import HistorySettings, make_history_work
from dp3.engine.hooking import TaskHooks
from dp3.engine.lifetimes.chores import ChoreWork
from dp3.engine.lifetimes.work import make_lifetime_work
from dp3.engine.measuring import SizeMeasurer
from dp3.engine.outbox import OutboxDrainer
from dp3.engine.plans import make_plans
from dp3.engine.snapshots.cleaning import CleaningSettings, SnapshotCleaning
from dp3.engine.snapshots.plans import Limits
from dp3.engine.snapshots.setup import SnapshotSettings, make_snapshot_work
from dp3.engine.statistics import Statistics
from dp3.engine.updater.work import UpdateSettings, make_update_work
from dp3.engine.waves import HookProcessor, WaveLimits
from dp3.engine.worker import Worker, WorkerParts
from dp3.hooks.guard import Guard
from dp3.hooks.pool import DaemonPool
from dp3.hooks.scheduler import Scheduler
from dp3.hooks.table import HookTable
from dp3.hooks.watch import HookWatch
from dp3.model.task import set_default_model
from dp3.runtime.lease import held_lease
from dp3.runtime.model import note_model
from dp3.runtime.modules import ModuleConfigs, Modules, WorkerIdentity, register_modules, started
from dp3.runtime.paths import DataDir
from dp3.runtime.resources import Resources, open_resources
from dp3.runtime.signals import limit_stop, on_parent_death, on_stop_signal
from dp3.store.port import Lease, LeaseLost, LeaseRefused

OUTBOX_STOP_S = 10.0
ARCHIVE_STOP_S = 10.0
MEASURE_STOP_S = 5.0

GC_THRESHOLD = 50_000
"""Rows and values of a batch die by themselves; looking for cycles at every 700 of them, the default, took an
eighth of the time of a snapshot run."""

SWITCH_INTERVAL_S = 0.0001
"""A thread that comes back from SQLite waits so long for one that computes. With the default, 5 ms, a
transaction of some fifty statements beside the worker's thread would take a quarter of a second."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Seat:
    """What a worker holds before it knows its modules."""

    clock: Clock
    resources: Resources
    lease: Lease
    watch: HookWatch
    statistics: Statistics
    heartbeat: Heartbeat


def run_worker(config: Configuration, identity: WorkerIdentity, data: DataDir) -> int:
    """Run a worker until it is told to stop; returns the exit status.

    Raises `LeaseRefused` when another process is that worker or there are more workers than partitions,
    `ModelRefused` when the model differs from that of the stored data, `ModuleLoadError` when a module is
    unusable.
    """
    stop = threading.Event()

    def request_stop() -> None:
        stop.set()
        limit_stop()

    on_stop_signal(request_stop)
    supervised = on_parent_death(request_stop)
    set_default_model(config.model)
    _tune_interpreter()
    try:
        with ExitStack() as stack:
            seat = _take_seat(stack, config, identity, data, stop, supervised=supervised)
            _start(stack, config, identity, data, stop, seat).run()
    except LeaseLost:
        logger.critical("worker %d: another process has taken over", identity.index)
        return 1
    except LeaseRefused:
        if not stop.is_set():
            raise
    logger.info("worker %d stopped", identity.index)
    return 0


def _tune_interpreter() -> None:
    """What the interpreter does by itself, for a process that handles very many small objects."""
    gc.set_threshold(GC_THRESHOLD)
    sys.setswitchinterval(SWITCH_INTERVAL_S)


def _take_seat(
    stack: ExitStack,
    config: Configuration,
    identity: WorkerIdentity,
    data: DataDir,
    stop: threading.Event,
    *,
    supervised: bool,
) -> _Seat:
    """Open log and state, take the lease and let the heart beat, because modules may take long to load."""
    clock = SystemClock()
    resources = stack.enter_context(open_resources(config, data, clock, checkpoint=True))
    store, settings = resources.store, config.processing_core
    _check_processes(identity.processes, store.partitions)
    lease = stack.enter_context(held_lease(store, identity, stop, supervised=supervised))
    note_model(store, config, data)
    watch = HookWatch(settings.hook_timeout.total_seconds(), settings.hook_hang.total_seconds())
    statistics = Statistics()
    sign = data.sign_of_life(identity.index)
    heartbeat = Heartbeat(store, lease, watch, sign, stop.set, statistics.numbers)
    heartbeat.start()
    stack.callback(heartbeat.stop)
    return _Seat(clock, resources, lease, watch, statistics, heartbeat)


def _start(
    stack: ExitStack,
    config: Configuration,
    identity: WorkerIdentity,
    data: DataDir,
    stop: threading.Event,
    seat: _Seat,
) -> Worker:
    """Build and start everything else; the stack stops it in reverse order."""
    modules = register_modules(config, identity)
    registrar = modules.registrar
    outbox = OutboxDrainer(seat.resources.log, seat.resources.store, seat.lease)
    outbox.start()
    stack.callback(outbox.stop, OUTBOX_STOP_S)
    attempts = stack.enter_context(_attempts(data.attempt(identity.index)))
    worker = Worker(_parts(config, seat, modules, outbox, attempts), stop)
    stack.enter_context(started(modules.loaded))
    scheduler = Scheduler()
    scheduler.add(registrar.registrations)
    scheduler.start()
    stack.callback(scheduler.stop)
    archiver = Archiver(
        seat.resources.log, seat.resources.store, seat.clock, seat.lease, _archive_settings(config)
    )
    archiver.start()
    stack.callback(archiver.stop, ARCHIVE_STOP_S)
    measurer = SizeMeasurer(
        seat.resources.store,
        seat.clock,
        seat.lease,
        _cron(config.telemetry.attribute_bson_size_schedule),
        config.model.entity_attributes,
    )
    measurer.start()
    stack.callback(measurer.stop, MEASURE_STOP_S)
    seat.heartbeat.working()
    logger.info("worker %d of %d is working", identity.index, identity.processes)
    return worker


def _archive_settings(config: Configuration) -> ArchiveSettings:
    settings = config.history_manager.datapoint_archivation
    older_than_us = settings.older_than // timedelta(microseconds=1)
    return ArchiveSettings(_cron(settings.schedule), older_than_us, settings.archive_dir)


def _cron(schedule: CronExpression) -> dict[str, Any]:
    """The arguments of a cron trigger."""
    return schedule.fields() | {"timezone": schedule.timezone}


def _snapshot_settings(config: Configuration) -> SnapshotSettings:
    settings = config.snapshots
    return SnapshotSettings(
        cron=_cron(settings.creation_rate),
        limits=Limits(settings.keep_empty, settings.max_component),
        threads=config.processing_core.worker_threads,
    )


def _cleaning_settings(config: Configuration) -> CleaningSettings:
    settings = config.history_manager.snapshot_cleaning
    return CleaningSettings(_cron(settings.schedule), settings.older_than // timedelta(microseconds=1))


def _history_settings(config: Configuration) -> HistorySettings:
    settings = config.history_manager
    return HistorySettings(_cron(settings.aggregation_schedule), _cron(settings.datapoint_cleaning_schedule))


def _update_settings(config: Configuration) -> UpdateSettings:
    settings = config.updater
    cron, cleaning = settings.update_batch_cron, settings.cache_management_cron
    return UpdateSettings(
        cron=cron.fields() | {"timezone": cron.timezone},
        batch_period=settings.update_batch_period,
        cleaning=cleaning.fields() | {"timezone": cleaning.timezone},
        cycles=settings.cache_max_entries,
        threads=config.processing_core.worker_threads,
    )


def _parts(
    config: Configuration,
    seat: _Seat,
    modules: Modules,
    outbox: OutboxDrainer,
    attempts: Attempts,
) -> WorkerParts:
    settings, clock, store = config.processing_core, seat.clock, seat.resources.store
    registrations = modules.registrar.registrations
    table = HookTable(registrations)
    guard = Guard(seat.watch, settings.max_tasks_per_hook)
    task_hooks = TaskHooks(table, guard, config.model, settings.max_generations, clock)
    plans = make_plans(config.model, store, table)
    entities = EntityIndex(store, settings.entity_cache_size)
    executor = DaemonPool(settings.worker_threads, "hooks")
    limits = WaveLimits(settings.batch_time_limit.total_seconds(), settings.worker_threads)
    snapshots = make_snapshot_work(
        state=store,
        log=seat.resources.log,
        clock=clock,
        lease=seat.lease,
        model=config.model,
        registrations=registrations,
        guard=guard,
        executor=executor,
        io=DaemonPool(1, "snapshots"),
        settings=_snapshot_settings(config),
    )
    updates = make_update_work(
        state=store,
        clock=clock,
        lease=seat.lease,
        model=config.model,
        registrations=registrations,
        guard=guard,
        settings=_update_settings(config),
    )
    history = make_history_work(
        state=store,
        log=seat.resources.log,
        clock=clock,
        lease=seat.lease,
        model=config.model,
        plans=plans,
        settings=_history_settings(config),
        statistics=seat.statistics,
    )
    return WorkerParts(
        log=seat.resources.log,
        store=store,
        clock=clock,
        lease=seat.lease,
        plans=plans,
        entities=entities,
        hooks=HookProcessor(task_hooks, plans, entities, executor, limits),
        attempts=attempts,
        outbox=outbox,
        control=ControlHandler(
            store,
            seat.lease.index,
            table,
            task_hooks,
            snapshots.request,
            ModuleConfigs(config.path, modules).refresh,
        ),
        snapshots=snapshots,
        cleaning=SnapshotCleaning(store, clock, seat.lease, _cleaning_settings(config)),
        updates=updates,
        lifetimes=make_lifetime_work(
            state=store,
            log=seat.resources.log,
            clock=clock,
            lease=seat.lease,
            plans=plans,
            cron=_cron(config.garbage_collector.collection_rate),
        ),
        chores=ChoreWork(store, seat.resources.log, entities, plans),
        history=history,
        batch_limit_s=limits.batch_s,
        statistics=seat.statistics,
    )


def _check_processes(processes: int, partitions: int) -> None:
    if processes > partitions:
        raise LeaseRefused(
            f"{processes} worker processes can not share {partitions} partitions; "
            f"set worker_processes to {partitions} or less"
        )


@contextmanager
def _attempts(path: Path) -> Iterator[Attempts]:
    """The note of what is under way. It stays when an exception ends the worker, as when it is killed."""
    attempts = Attempts(path)
    clean = False
    try:
        yield attempts
        clean = True
    except LeaseLost:
        clean = True
        raise
    finally:
        attempts.close(clean=clean)
