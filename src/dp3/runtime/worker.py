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

from dp3.clock import SystemClock
from dp3.config.kinds import CronExpression
from dp3.config.loading import Configuration
from dp3.engine.assembly import Dependencies, WorkerSettings, worker_parts
from dp3.engine.context import Context
from dp3.engine.heartbeat import Heartbeat
from dp3.engine.ingest.attempts import Attempts
from dp3.engine.ingest.outbox import OutboxDrainer
from dp3.engine.jobs.archive import Archiver, ArchiveSettings
from dp3.engine.jobs.history.work import HistorySettings
from dp3.engine.jobs.sizes import SizeMeasurer
from dp3.engine.jobs.updates.work import UpdateSettings
from dp3.engine.statistics import Statistics
from dp3.engine.worker import Worker
from dp3.hooks.guard import Guard
from dp3.hooks.pool import DaemonPool
from dp3.hooks.scheduler import Scheduler
from dp3.hooks.watch import HookWatch
from dp3.model.task import set_default_model
from dp3.runtime.lease import held_lease
from dp3.runtime.model import note_model
from dp3.runtime.modules import ModuleConfigs, Modules, WorkerIdentity, register_modules, started
from dp3.runtime.resources import DataDir, open_resources
from dp3.runtime.signals import limit_stop, on_parent_death, on_stop_signal
from dp3.store.ports.errors import LeaseLost, LeaseRefused

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
class _Held:
    """What a worker holds before it knows its modules."""

    context: Context
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
            held = _take_seat(stack, config, identity, data, stop, supervised=supervised)
            _start(stack, config, identity, data, stop, held).run()
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
) -> _Held:
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
    return _Held(Context(resources.log, store, clock, lease, statistics), watch, statistics, heartbeat)


def _start(
    stack: ExitStack,
    config: Configuration,
    identity: WorkerIdentity,
    data: DataDir,
    stop: threading.Event,
    held: _Held,
) -> Worker:
    """Build and start everything else; the stack stops it in reverse order."""
    context, modules = held.context, register_modules(config, identity)
    registrations = modules.registrar.registrations
    outbox = OutboxDrainer(context.log, context.store, context.lease)
    outbox.start()
    stack.callback(outbox.stop, OUTBOX_STOP_S)
    attempts = stack.enter_context(_attempts(data.attempt(identity.index)))
    means = _means(config, held, modules, outbox, attempts)
    worker = Worker(worker_parts(context, _settings(config), config.model, registrations, means), stop)
    stack.enter_context(started(modules.loaded))
    scheduler = Scheduler()
    scheduler.add(registrations)
    scheduler.start()
    stack.callback(scheduler.stop)
    archiver = Archiver(context.log, context.store, context.clock, context.lease, _archive_settings(config))
    archiver.start()
    stack.callback(archiver.stop, ARCHIVE_STOP_S)
    measurer = _measurer(config, context)
    measurer.start()
    stack.callback(measurer.stop, MEASURE_STOP_S)
    held.heartbeat.working()
    logger.info("worker %d of %d is working", identity.index, identity.processes)
    return worker


def _measurer(config: Configuration, context: Context) -> SizeMeasurer:
    schedule = _cron(config.telemetry.attribute_bson_size_schedule)
    return SizeMeasurer(context.store, context.clock, context.lease, schedule, config.model.entity_attributes)


def _archive_settings(config: Configuration) -> ArchiveSettings:
    settings = config.history_manager.datapoint_archivation
    older_than_us = settings.older_than // timedelta(microseconds=1)
    return ArchiveSettings(_cron(settings.schedule), older_than_us, settings.archive_dir)


def _cron(schedule: CronExpression) -> dict[str, Any]:
    """The arguments of a cron trigger."""
    return schedule.fields() | {"timezone": schedule.timezone}


def _update_settings(config: Configuration) -> UpdateSettings:
    settings = config.updater
    return UpdateSettings(
        cron=_cron(settings.update_batch_cron),
        batch_period=settings.update_batch_period,
        cleaning=_cron(settings.cache_management_cron),
        cycles=settings.cache_max_entries,
        threads=config.processing_core.worker_threads,
    )


def _settings(config: Configuration) -> WorkerSettings:
    core, history = config.processing_core, config.history_manager
    return WorkerSettings(
        batch_s=core.batch_time_limit.total_seconds(),
        threads=core.worker_threads,
        generations=core.max_generations,
        entities=core.entity_cache_size,
        snapshots=config.snapshots,
        cleaning=history.snapshot_cleaning,
        updates=_update_settings(config),
        collection=_cron(config.garbage_collector.collection_rate),
        history=HistorySettings(
            _cron(history.aggregation_schedule), _cron(history.datapoint_cleaning_schedule)
        ),
    )


def _means(
    config: Configuration, held: _Held, modules: Modules, outbox: OutboxDrainer, attempts: Attempts
) -> Dependencies:
    core = config.processing_core
    return Dependencies(
        guard=Guard(held.watch, core.max_tasks_per_hook),
        executor=DaemonPool(core.worker_threads, "hooks"),
        io=DaemonPool(1, "snapshots"),
        attempts=attempts,
        outbox=outbox,
        refresh_module=ModuleConfigs(config.path, modules).refresh,
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
