"""The one assembly of a worker: only this file of the tests knows the parts that a worker is made of."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from dp3.clock_watch import ClockWatch
from dp3.config.hierarchy import HierarchicalDict
from dp3.config.kinds import CronExpression
from dp3.config.loading import Configuration
from dp3.config.sections import (
    ApiSettings,
    ControlSettings,
    DatabaseSettings,
    DatapointArchivationSettings,
    EventLoggingSettings,
    GarbageCollectorSettings,
    HistoryManagerSettings,
    ProcessingCoreSettings,
    SnapshotCleaningSettings,
    SnapshotsSettings,
    TelemetrySettings,
    UpdaterSettings,
)
from dp3.engine.assembly import Assembly
from dp3.engine.context import Context
from dp3.engine.ingest.attempts import Attempts
from dp3.engine.jobs.history.job import CLEANING, PACKING
from dp3.engine.statistics import Statistics
from dp3.hooks.pool import DaemonPool
from dp3.hooks.registrar import CallbackRegistrar
from dp3.hooks.watch import HookWatch
from dp3.log.port import Lane
from dp3.model.spec import ModelSpec
from dp3.store.ports.leases import Holder, Lease
from dp3.store.ports.runs import Run
from kit.limits import pack_limits, short_slices
from kit.place import LEASE_TTL_S, NEVER, Cron, Place

HOOK_TIMEOUT, HOOK_HANG, MOST_TASKS = timedelta(seconds=10), timedelta(seconds=60), 100
OUTBOX_STOP_S = 10.0
RUNS, UPKEEP = "snapshot run", "upkeep of history"
"""Names of jobs."""


class PackLimits(NamedTuple):
    """`slice`: fresh rows that are packed in one transaction, at most; `row`: segments in a packed row."""

    slice: int = 8_000
    row: int = 64


ANY_PACK = PackLimits()


def cron(given: Cron | None) -> CronExpression:
    """A schedule as it is configured; without one, never."""
    return CronExpression(**(given or NEVER))


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

    def configuration(self, model: ModelSpec) -> Configuration:
        """As if it had been read from files; limits of processing may be smaller than can be configured."""
        core = {
            "worker_threads": max(self.threads, 1),
            "batch_time_limit": timedelta(seconds=self.batch_s),
            "max_generations": self.generations,
            "entity_cache_size": 1_000,
            "max_tasks_per_hook": MOST_TASKS,
        }
        old_runs = SnapshotCleaningSettings(
            schedule=cron(self.run_cleaning), older_than=timedelta(microseconds=self.runs_older_than_us)
        )
        return Configuration(
            path=Path(),
            tree=HierarchicalDict(),
            model=model,
            processing_core=ProcessingCoreSettings().model_copy(update=core),
            database=DatabaseSettings(),
            snapshots=SnapshotsSettings(
                creation_rate=cron(self.runs), keep_empty=self.keep_empty, max_component=self.max_component
            ),
            history_manager=HistoryManagerSettings(
                aggregation_schedule=cron(None),
                datapoint_cleaning_schedule=cron(self.cleaning),
                snapshot_cleaning=old_runs,
                datapoint_archivation=DatapointArchivationSettings(schedule=cron(None)),
            ),
            garbage_collector=GarbageCollectorSettings(collection_rate=cron(self.collection)),
            updater=UpdaterSettings(
                update_batch_cron=cron(self.updates),
                update_batch_period=timedelta(minutes=self.batch_minutes),
                cache_management_cron=cron(self.update_cleaning),
                cache_max_entries=3,
            ),
            control=ControlSettings(),
            event_logging=EventLoggingSettings(),
            telemetry=TelemetrySettings(attribute_bson_size_schedule=cron(None)),
            api=ApiSettings(),
            notes=(),
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
    """A worker that holds its lease until it is stopped, and does something only when a method is called.
    With `lease` it works beside the worker that has that."""

    def __init__(
        self, place: Place, registrar: CallbackRegistrar, options: Options, lease: Lease | None = None
    ) -> None:
        self._place = place
        self._stopping = threading.Event()
        self._drains = options.drains
        holder = Holder("host", 1)
        self.lease = lease or place.store.leases.take(options.index, options.processes, holder, LEASE_TTL_S)
        place.store.leases.heartbeat(self.lease, "working")
        executor = DaemonPool(options.threads, "hooks") if options.threads else CallingThread()
        self._attempts = Attempts(place.directory / "run" / f"{options.index}.attempt")
        watch = HookWatch(HOOK_TIMEOUT.total_seconds(), HOOK_HANG.total_seconds())
        statistics = options.statistics or Statistics()
        with pack_limits(options.limits.slice, options.limits.row):
            assembly = Assembly(
                Context(
                    place.log,
                    place.store,
                    place.clock,
                    self.lease,
                    watch,
                    statistics,
                    ClockWatch(place.clock),
                ),
                options.configuration(registrar.model_spec),
                registrar.registrations,
                self._attempts,
                lambda name: {},
                self._stopping,
                executor=executor,
            )
        self._outbox, self._worker, self._jobs = assembly.outbox, assembly.worker, assembly.jobs
        self._snapshots, self._history = assembly.snapshots, assembly.history
        if self._drains:
            self._outbox.start()

    # -- its work --------------------------------------------------------------------------------------
    def step(self) -> bool:
        """One piece of work; returns whether there was any."""
        return self._worker.step()

    @property
    def gather_s(self) -> float:
        """Seconds for which it would let more come before its next step."""
        return self._worker.gather_s

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
        return self._turn_of(RUNS)

    @contextmanager
    def without_runs(self) -> Iterator[None]:
        """It leaves snapshot runs alone."""
        with self._jobs_but(lambda name: name != RUNS):
            yield

    def _turn_of(self, job: str) -> bool:
        with self._jobs_but(lambda name: name == job):
            return self._jobs.turn(self._place.store.changes.version(), may_block=True)

    @contextmanager
    def _jobs_but(self, kept: Callable[[str], bool]) -> Iterator[None]:
        """The runner knows some of the jobs only; afterwards all see what has changed."""
        some = [slot for slot in self._jobs._slots if kept(slot.job.name)]
        with patch.object(self._jobs, "_slots", some):
            yield
        self._jobs._seen = None

    def request_upkeep(self, *passes: str) -> None:
        """Pack or clean history (`PACKING`, `CLEANING`) when there is nothing else to do; by default pack."""
        self._history.request(*passes)

    def upkeep(self) -> bool:
        """The smallest slice of what was requested; returns whether there is more."""
        with short_slices():
            return self._turn_of(UPKEEP)

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

    def stop(self, *, clean: bool = True) -> None:
        """End in order. If not `clean`, its successor finds what was under way, as if it had been killed."""
        self.die()
        self._attempts.close(clean=clean)
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
