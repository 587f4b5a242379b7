"""Composition of a worker process, which holds its lease while it works."""

import logging
import os
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dp3.clock import SystemClock
from dp3.clock_watch import ClockWatch
from dp3.config.loading import Configuration
from dp3.engine.assembly import Assembly
from dp3.engine.context import Context
from dp3.engine.heartbeat import LEASE_TTL_S, Heartbeat
from dp3.engine.ingest.attempts import Attempts
from dp3.engine.jobs.archive import Archive
from dp3.engine.jobs.job import Job
from dp3.engine.jobs.sizes import SizeMeasurement
from dp3.engine.statistics import Statistics
from dp3.engine.worker import Worker
from dp3.files import DamagedFile
from dp3.hooks.failures import FailureLog
from dp3.hooks.pool import DaemonPool
from dp3.hooks.scheduler import Scheduler
from dp3.hooks.watch import HookWatch
from dp3.log.port import Lane, Log
from dp3.model.task import set_default_model
from dp3.runtime.interpreter import tune
from dp3.runtime.model import note_model
from dp3.runtime.modules import ModuleConfigs, WorkerIdentity, register_modules, started
from dp3.runtime.places import needed_at_start
from dp3.runtime.resources import DataDir, open_resources
from dp3.runtime.signals import STOP_LIMIT_S, predecessor_failed_by_itself, stop_event
from dp3.store.ports.errors import LeaseLost, LeaseRefused, StoreUnavailable, StoreUncertain
from dp3.store.ports.leases import Holder, Lease
from dp3.store.ports.runs import Runs
from dp3.store.ports.state import State

OUTBOX_STOP_S = 10.0

SWITCH_INTERVAL_S = 0.0001
"""A thread that comes back from SQLite waits so long for one that computes. With the default, 5 ms, a
transaction of some fifty statements beside the worker's thread would take a quarter of a second."""

PATIENCE_S = STOP_LIMIT_S + 5.0
"""A worker that has lost its supervisor stops within `STOP_LIMIT_S`; its successor under the next supervisor
waits for that."""

RETRY_S = 0.5

logger = logging.getLogger(__name__)


def run_worker(config: Configuration, identity: WorkerIdentity, data: DataDir) -> int:
    """Run a worker until it is told to stop; returns the exit status.

    Raises `LeaseRefused` when another process is that worker or there are more workers than partitions,
    `ModelRefused` when the model differs from that of the stored data, `ModuleLoadError` when a module is
    unusable, `FormatError` (also later, when a damaged place is read) and `Unusable` for files.
    """
    stop, supervised = stop_event()
    set_default_model(config.model)
    tune(SWITCH_INTERVAL_S)
    try:
        with ExitStack() as stack:
            context = _open_context(stack, config, identity, data, stop, supervised=supervised)
            heartbeat = _start_heartbeat(stack, context, data, stop)
            worker = _start(stack, config, identity, data, stop, context)
            heartbeat.working()
            logger.info("worker %d of %d is working", identity.index, identity.processes)
            worker.run()
    except LeaseLost:
        logger.critical("worker %d: another process has taken over", identity.index)
        return 1
    except (StoreUnavailable, StoreUncertain) as error:
        logger.critical("worker %d has to begin again: %s", identity.index, error)
        return 1
    except LeaseRefused:
        if not stop.is_set():
            raise
    logger.info("worker %d stopped", identity.index)
    return 0


def _open_context(
    stack: ExitStack,
    config: Configuration,
    identity: WorkerIdentity,
    data: DataDir,
    stop: threading.Event,
    *,
    supervised: bool,
) -> Context:
    """Open log and state and take the lease."""
    clock, core = SystemClock(), config.processing_core
    resources = stack.enter_context(open_resources(config, data, clock, checkpoint=True))
    _check_processes(identity.processes, resources.store.partitions)
    lease = stack.enter_context(held_lease(resources.store, identity, stop, supervised=supervised))
    note_model(resources.store, config, data)
    watch = HookWatch(core.hook_timeout.total_seconds(), core.hook_hang.total_seconds())
    failures = FailureLog(core.modules_dir)
    last_known = _last_known_us(resources.log, resources.store.runs)
    clock_watch = ClockWatch(clock, last_known, data.clock_distrust(identity.index))
    return Context(resources.log, resources.store, clock, lease, watch, Statistics(), clock_watch, failures)


def _last_known_us(log: Log, runs: Runs) -> int:
    """The time at which a worker last did something in a snapshot run or, if there was none, the last entry
    of the log was appended; 0 if there is none."""
    if last := runs.last(1):
        return last[0].updated
    heads = {lane: log.head(lane).offset for lane in Lane}
    times = (log.append_time_after(lane, offset - 1) for lane, offset in heads.items() if offset)
    return max((time for time in times if time is not None), default=0)


def _start_heartbeat(stack: ExitStack, context: Context, data: DataDir, stop: threading.Event) -> Heartbeat:
    """Let the heart beat, before modules are loaded: that may take long."""
    sign = data.sign_of_life(context.lease.index)
    heartbeat = Heartbeat(
        context.store,
        context.lease,
        context.watch,
        sign,
        stop.set,
        context.damage.note,
        context.statistics.numbers,
    )
    with needed_at_start():
        heartbeat.start()
    stack.callback(heartbeat.stop)
    return heartbeat


def _start(
    stack: ExitStack,
    config: Configuration,
    identity: WorkerIdentity,
    data: DataDir,
    stop: threading.Event,
    context: Context,
) -> Worker:
    """Build and start everything else; the stack stops it in reverse order."""
    modules = register_modules(config, identity)
    registrations = modules.registrar.registrations
    attempts = stack.enter_context(_attempts(data.attempt(identity.index)))
    refresh = ModuleConfigs(config.path, modules).refresh
    more = _jobs_of_one_worker(config, context)
    assembly = Assembly(context, config, registrations, attempts, refresh, stop, more=more)
    assembly.outbox.start()
    stack.callback(assembly.outbox.stop, OUTBOX_STOP_S)
    stack.enter_context(started(modules.loaded))
    scheduler = Scheduler(context.failures)
    scheduler.add(registrations)
    context.clock_watch.on_jump(scheduler.reschedule)
    scheduler.start()
    stack.callback(scheduler.stop)
    return assembly.worker


def _jobs_of_one_worker(config: Configuration, context: Context) -> list[Job]:
    """Jobs that are done by one worker for all; their pieces run in a thread that they share."""
    io = DaemonPool(1, "upkeep")
    return [
        Archive(context, config.history_manager.datapoint_archivation, io),
        SizeMeasurement(context, config.telemetry, config.model.entity_attributes, io),
    ]


def _check_processes(processes: int, partitions: int) -> None:
    if processes > partitions:
        raise LeaseRefused(
            f"{processes} worker processes can not share {partitions} partitions; "
            f"set worker_processes to {partitions} or less"
        )


@contextmanager
def _attempts(path: Path) -> Iterator[Attempts]:
    """The note of what is under way. It stays when an exception ends the worker, as when it is killed; no
    entry is to blame for a lease, a file or a server."""
    with needed_at_start():
        attempts = Attempts(path, by_itself=predecessor_failed_by_itself())
    clean = False
    try:
        yield attempts
        clean = True
    except (DamagedFile, LeaseLost, StoreUnavailable, StoreUncertain):
        clean = True
        raise
    finally:
        attempts.close(clean=clean)


@contextmanager
def held_lease(
    store: State, identity: WorkerIdentity, stop: threading.Event, *, supervised: bool
) -> Iterator[Lease]:
    """Hold the lease while the block runs. Raises `LeaseRefused`: at once if the worker was started by hand
    and the holder lives, otherwise when the holder has not gone in time or `stop` is set."""
    with needed_at_start():
        lease = _take_lease(store, identity, stop, supervised)
    try:
        yield lease
    finally:
        _release(store, lease)


def _release(store: State, lease: Lease) -> None:
    """Give a lease back. It ends by itself if that can not be now: the holder is gone then."""
    try:
        store.leases.release(lease)
    except (StoreUnavailable, StoreUncertain) as error:
        logger.warning("the lease of worker %d could not be given back: %s", lease.index, error)


def _take_lease(store: State, identity: WorkerIdentity, stop: threading.Event, supervised: bool) -> Lease:
    holder = Holder(platform.node(), os.getpid())
    start = time.monotonic()
    waiting = False
    while True:
        try:
            return store.leases.take(identity.index, identity.processes, holder, LEASE_TTL_S)
        except LeaseRefused as refused:
            if stop.is_set() or time.monotonic() - start >= _patience_s(store, holder.host, supervised):
                raise
            if not waiting:
                logger.warning("%s; waiting for its end", refused)
            waiting = True
            stop.wait(RETRY_S)


def _patience_s(store: State, host: str, supervised: bool) -> float:
    if supervised:
        return PATIENCE_S
    elsewhere = all(state.holder.host != host for state in store.leases.all())
    return LEASE_TTL_S + 1 if elsewhere else 0.0  # a holder on another host has to prove that it lives
