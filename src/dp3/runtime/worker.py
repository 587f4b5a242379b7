"""Composition of a worker process."""

import logging
import os
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dp3.clock import SystemClock
from dp3.config.loading import Configuration
from dp3.engine.attempts import Attempts
from dp3.engine.control import ControlHandler
from dp3.engine.entities import EntityIndex
from dp3.engine.heartbeat import LEASE_TTL_S, Heartbeat
from dp3.engine.hooking import TaskHooks
from dp3.engine.outbox import OutboxDrainer
from dp3.engine.plans import make_plans
from dp3.engine.waves import HookProcessor, WaveLimits
from dp3.engine.worker import Worker, WorkerParts
from dp3.hooks.guard import Guard
from dp3.hooks.pool import DaemonPool
from dp3.hooks.scheduler import Scheduler
from dp3.hooks.table import HookTable
from dp3.hooks.watch import HookWatch
from dp3.model.task import set_default_model
from dp3.runtime.modules import WorkerIdentity, register_modules, started
from dp3.runtime.paths import DataDir
from dp3.runtime.resources import open_resources
from dp3.runtime.signals import limit_stop, on_parent_death, on_stop_signal
from dp3.store.port import Lease, LeaseLost, LeaseRefused, Store

OUTBOX_STOP_S = 10.0
LEASE_RETRY_S = 0.5

logger = logging.getLogger(__name__)


def run_worker(config: Configuration, identity: WorkerIdentity, data: DataDir) -> int:
    """Run a worker until it is told to stop; returns the exit status.

    Raises `LeaseRefused` when another process is that worker or there are more workers than partitions,
    `ModuleLoadError` when a module is unusable.
    """
    stop = threading.Event()

    def request_stop() -> None:
        stop.set()
        limit_stop()

    on_stop_signal(request_stop)
    on_parent_death(request_stop)
    set_default_model(config.model)
    try:
        with ExitStack() as stack:
            _compose(stack, config, identity, data, stop).run()
    except LeaseLost:
        logger.critical("worker %d: another process has taken over", identity.index)
        return 1
    logger.info("worker %d stopped", identity.index)
    return 0


def _compose(
    stack: ExitStack, config: Configuration, identity: WorkerIdentity, data: DataDir, stop: threading.Event
) -> Worker:
    """Build and start everything; the stack stops it in reverse order."""
    clock = SystemClock()
    resources = stack.enter_context(open_resources(config, data, clock, checkpoint=True))
    _check_processes(identity.processes, resources.store.partitions)
    lease = stack.enter_context(_held_lease(resources.store, identity, stop))
    settings = config.processing_core
    watch = HookWatch(settings.hook_timeout.total_seconds(), settings.hook_hang.total_seconds())
    heartbeat = Heartbeat(resources.store, lease, watch, on_lost=stop.set)
    heartbeat.start()
    stack.callback(heartbeat.stop)
    registrar, modules = register_modules(config, identity)  # may take long: the heart beats already
    table = HookTable(registrar.registrations)
    outbox = OutboxDrainer(resources.log, resources.store, lease)
    outbox.start()
    stack.callback(outbox.stop, OUTBOX_STOP_S)
    attempts = stack.enter_context(_attempts(data.run / f"worker-{identity.index}.attempt"))
    guard = Guard(watch, settings.max_tasks_per_hook)
    task_hooks = TaskHooks(table, guard, config.model, settings.max_generations, clock)
    plans = make_plans(config.model, resources.store, table)
    entities = EntityIndex(resources.store, settings.entity_cache_size)
    executor = DaemonPool(settings.worker_threads, "hooks")
    limits = WaveLimits(settings.batch_time_limit.total_seconds(), settings.worker_threads)
    worker = Worker(
        WorkerParts(
            log=resources.log,
            store=resources.store,
            clock=clock,
            lease=lease,
            plans=plans,
            entities=entities,
            hooks=HookProcessor(task_hooks, plans, entities, executor, limits),
            attempts=attempts,
            outbox=outbox,
            control=ControlHandler(resources.store, identity.index, table, task_hooks),
            batch_limit_s=limits.batch_s,
        ),
        stop,
    )
    stack.enter_context(started(modules))
    scheduler = Scheduler()
    scheduler.add(registrar.registrations)
    scheduler.start()
    stack.callback(scheduler.stop)
    heartbeat.working()
    logger.info("worker %d of %d is working", identity.index, identity.processes)
    return worker


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


@contextmanager
def _held_lease(store: Store, identity: WorkerIdentity, stop: threading.Event) -> Iterator[Lease]:
    lease = _take_lease(store, identity, stop)
    try:
        yield lease
    finally:
        store.release_lease(lease)


def _take_lease(store: Store, identity: WorkerIdentity, stop: threading.Event) -> Lease:
    """Take the lease. A holder on another host may be dead: it is given the time to prove that it lives."""
    host = platform.node()
    end = time.monotonic() + LEASE_TTL_S + 1
    while True:
        try:
            return store.take_lease(identity.index, identity.processes, host, os.getpid(), LEASE_TTL_S)
        except LeaseRefused as refused:
            elsewhere = all(state.host != host for state in store.leases())
            if not elsewhere or time.monotonic() > end or stop.is_set():
                raise
            logger.warning("%s; waiting for its heartbeat to run out", refused)
            stop.wait(LEASE_RETRY_S)
