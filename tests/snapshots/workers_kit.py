"""Several workers of one application in one process, each stepped by the test."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sample_settings import plain

from dp3.clock import FakeClock
from dp3.engine.assembly import Means, WorkerSettings, worker_parts
from dp3.engine.attempts import Attempts
from dp3.engine.compaction import PackLimits
from dp3.engine.history_work import HistorySettings
from dp3.engine.outbox import OutboxDrainer
from dp3.engine.seat import Seat
from dp3.engine.snapshots.cleaning import CleaningSettings
from dp3.engine.snapshots.doc import decode_doc, expand
from dp3.engine.snapshots.plans import Limits
from dp3.engine.snapshots.setup import SnapshotSettings
from dp3.engine.updater.work import UpdateSettings
from dp3.engine.waves import WaveLimits
from dp3.engine.worker import Worker
from dp3.hooks.guard import Guard
from dp3.hooks.pool import DaemonPool
from dp3.hooks.registrar import CallbackRegistrar
from dp3.hooks.watch import HookWatch
from dp3.log.port import Append, Entry, Lane
from dp3.log.segments import open_log
from dp3.model.partition import partition_of
from dp3.model.spec import ModelSpec
from dp3.model.wire import WirePoint, WireTask, decode_tasks, encode_tasks
from dp3.store.port import Lease
from dp3.store.snapshots import Run, WorkerRun
from dp3.store.sqlite import open_store

PARTITIONS = 4
START_US = 1_600_000_000_000_000
NEVER = {"year": 9999}

MODEL = ModelSpec(
    {
        "a": {
            "entity": {"id": "a", "name": "a", "snapshot": True},
            "attribs": {"p": plain("int"), "risk": plain("int"), "peer": plain("link<a>")},
        },
        "t": {
            "entity": {"id": "t", "name": "t", "snapshot": True},
            "attribs": {
                "p": plain("int"),
                "level": {
                    "name": "x",
                    "type": "observations",
                    "data_type": "int",
                    "history_params": {"pre_validity": "1h", "post_validity": "1h"},
                },
                "levels": {
                    "name": "x",
                    "type": "observations",
                    "data_type": "int",
                    "multi_value": True,
                    "history_params": {"pre_validity": "1h", "post_validity": "1h"},
                },
                "load": {
                    "name": "x",
                    "type": "timeseries",
                    "timeseries_type": "irregular",
                    "timeseries_params": {},
                    "series": {"cpu": {"data_type": "int"}},
                },
            },
        },
    }
)

NO_CLEANING = CleaningSettings(NEVER, 0)

Register = Callable[[CallbackRegistrar], None]


class CallingThread(Executor):
    """Does what is submitted before `submit` returns."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class OneWorker:
    """A worker; `step` is one piece of its work, `drain` brings tasks of hooks to the log. With `threads` it
    has some of its own, which call hooks and drain; without, nothing happens but in these methods."""

    def __init__(
        self,
        cluster: "Cluster",
        index: int,
        registrar: CallbackRegistrar,
        settings: SnapshotSettings,
        *,
        cleaning: CleaningSettings = NO_CLEANING,
        threads: bool = True,
    ) -> None:
        store, log, clock, model = cluster.store, cluster.log, cluster.clock, registrar.model_spec
        self._store = store
        self._log = log
        self.lease: Lease = store.take_lease(index, cluster.processes, "host", 1, 15.0)
        store.heartbeat(self.lease, "working")
        executor = DaemonPool(4, "x") if threads else CallingThread()
        configured = WorkerSettings(
            waves=WaveLimits(1.0, 1),
            generations=16,
            entities=1_000,
            snapshots=settings,
            cleaning=cleaning,
            updates=UpdateSettings(NEVER, timedelta(minutes=5), NEVER),
            collection=NEVER,
            history=HistorySettings(NEVER, NEVER, PackLimits(slice=2, row=3)),
        )
        means = Means(
            guard=Guard(HookWatch(10, 60)),
            executor=executor,
            io=executor,
            attempts=Attempts(cluster.directory / f"attempt-{index}"),
            outbox=OutboxDrainer(log, store, self.lease),
            refresh_module=lambda name: {},
        )
        seat = Seat(log, store, clock, self.lease)
        parts = worker_parts(seat, configured, model, registrar.registrations, means)
        self._outbox, self._attempts = means.outbox, means.attempts
        self.snapshots, self.history = parts.snapshots, parts.history
        self.worker = Worker(parts, threading.Event())
        self._threads = threads
        if threads:
            self._outbox.start()

    def step(self) -> bool:
        return self.worker.step()

    def drain(self) -> bool:
        """Returns whether there was anything in the outbox."""
        return self._outbox.drain_some()

    def has_derived(self) -> bool:
        """Whether there are derived tasks that no worker has read."""
        if self._store.pending_outbox(self.lease, 0, 1):
            return True
        end = self._log.head(Lane.DERIVED).offset
        return any(offset < end for _, lane, offset in self._store.positions() if lane == Lane.DERIVED)

    def is_at_rest(self) -> bool:
        return self._store.open_run() is None

    def stop(self) -> None:
        self.die()
        self._attempts.close()
        self._store.release_lease(self.lease)

    def die(self) -> None:
        """Nothing is done any more, and nobody says so."""
        if self._threads:
            self._outbox.stop(10.0)


class Cluster:
    """The log and the state that the workers share."""

    def __init__(self, directory: Path, processes: int) -> None:
        self.directory = directory
        self.processes = processes
        self.clock = FakeClock(START_US)
        self.log = open_log(directory, self.clock)
        self.store = open_store(directory, self.clock, partitions=PARTITIONS)

    def start(
        self,
        index: int = 0,
        register: Register = lambda registrar: None,
        cron: dict[str, Any] = NEVER,
        cleaning: CleaningSettings = NO_CLEANING,
        **limits: Any,
    ) -> OneWorker:
        registrar = CallbackRegistrar(MODEL).for_module("test")
        register(registrar)
        settings = SnapshotSettings(cron=cron, limits=Limits(**limits), threads=4)
        return OneWorker(self, index, registrar, settings, cleaning=cleaning)

    def close(self) -> None:
        self.store.close()
        self.log.close()

    def send(self, etype: str, eid: str, *points: WirePoint) -> None:
        task = WireTask(etype, eid, list(points))
        self.log.append([Append([{partition_of(etype, eid, PARTITIONS): encode_tasks([task])}])])

    def put(self, etype: str, eid: str, **plain_values: Any) -> None:
        self.send(etype, eid, *(WirePoint(attr, v) for attr, v in plain_values.items()))

    def last_run(self) -> Run:
        return self.store.last_runs(1)[0]

    def progress(self, index: int = 0) -> WorkerRun:
        rows = self.store.worker_runs(self.last_run().id)
        return next(row for row in rows if row.worker == index)

    def snapshots(self, etype: str, eid: str) -> list[dict[str, Any]]:
        """Every stored row of an entity, as of its run."""
        times = {run.id: run.time for run in self.store.last_runs(1_000)}
        rows = self.store.snapshots_of(etype, eid)
        return [expand(decode_doc(row.doc), times[row.run]) for row in rows]

    def counted(self, etype: str = "a") -> int:
        return self.store.count(etype)

    def derived(self) -> list[WireTask]:
        """Tasks that hooks produced, as they came to the log."""
        return [task for entry in self.derived_after(0) for task in tasks_in(entry)]

    def derived_after(self, offset: int) -> list[Entry]:
        return self.log.read(Lane.DERIVED, offset, 1 << 24)


def tasks_in(entry: Entry) -> list[WireTask]:
    return [task for tasks in entry.slices.values() for task in decode_tasks(tasks)]


@contextmanager
def a_cluster(processes: int = 1) -> Iterator[Cluster]:
    with TemporaryDirectory() as directory:
        cluster = Cluster(Path(directory), processes)
        try:
            yield cluster
        finally:
            cluster.close()


def settle(*workers: OneWorker, most: int = 5_000) -> None:
    """Step the workers in turn until there is nothing to do for any of them and no run is open."""
    for _ in range(most):
        busy = [worker.step() for worker in workers]
        if not any(busy) and workers[0].is_at_rest():
            return
    raise AssertionError("the workers do not come to rest")
