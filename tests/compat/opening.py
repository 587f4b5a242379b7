"""Opens an application in one process: log and state, all with one clock that stands still, HTTP and workers.

The one place in this folder that knows how an application is put together.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from dp3.clock import FakeClock, to_us
from dp3.config.cron import CronExpression
from dp3.config.loading import Configuration, load
from dp3.engine.appender import Appender
from dp3.engine.assembly import Means, WorkerSettings, worker_parts
from dp3.engine.attempts import Attempts
from dp3.engine.history_work import HistorySettings
from dp3.engine.outbox import OutboxDrainer
from dp3.engine.profiles import ProfileReader
from dp3.engine.seat import Seat
from dp3.engine.snapshots.cleaning import CleaningSettings
from dp3.engine.snapshots.plans import Limits
from dp3.engine.snapshots.setup import SnapshotSettings
from dp3.engine.updater.work import UpdateSettings
from dp3.engine.waves import WaveLimits
from dp3.engine.worker import Worker
from dp3.hooks.guard import Guard
from dp3.hooks.loading import unload_modules
from dp3.hooks.pool import DaemonPool
from dp3.hooks.watch import HookWatch
from dp3.http.app import create_app
from dp3.http.services import Services
from dp3.log.port import Entry, Lane, Log
from dp3.model.default_model import set_default_model
from dp3.runtime.model import note_model
from dp3.runtime.modules import ModuleConfigs, WorkerIdentity, register_modules
from dp3.runtime.paths import DataDir
from dp3.runtime.resources import event_groups, open_resources

LEASE_TTL_S = 15.0
MOST_STEPS = 5_000


class Application:
    """An application at a moment: requests are answered, workers are stepped. For one thread."""

    def __init__(self, config: Path, data: Path, now: str) -> None:
        self._stack = ExitStack()
        self.config = load(config)
        self.data = DataDir(data)
        self.clock = FakeClock(_us(now))
        resources = self._stack.enter_context(open_resources(self.config, self.data, self.clock))
        self.log, self.store = resources.log, resources.store
        note_model(self.store, self.config, self.data)
        set_default_model(self.config.model)
        self._stack.callback(set_default_model, None)
        appender = Appender(self.log)
        self._stack.callback(appender.close)
        self._runner = self._stack.enter_context(asyncio.Runner())
        self._app = create_app(self._services(appender))

    def _services(self, appender: Appender) -> Services:
        return Services(
            model=self.config.model,
            log=self.log,
            store=self.store,
            appender=appender,
            reader=ProfileReader(self.store, self.config.model, self.clock),
            settings=self.config.api,
            clock=self.clock,
            worker_processes=self.config.processing_core.worker_processes,
            allowed_actions=self.config.control.allowed_actions,
            modules=self.config.processing_core.enabled_modules,
            wait_limit_s=0.0,
            event_groups=event_groups(self.config.event_logging),
        )

    def close(self) -> None:
        self._stack.close()

    def request(
        self, method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """The answer to a request."""

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, raise_app_exceptions=False, client=("127.0.0.9", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
                return await client.request(method, url, json=body, headers=headers)

        return self._runner.run(send())

    def go_to(self, moment: str) -> None:
        """Set the clock: it only goes forward."""
        ahead = _us(moment) - self.clock.now_us()
        assert ahead >= 0, moment
        self.clock.advance(ahead / 1e6)

    def is_at_rest(self) -> bool:
        """Whether everything in the log is processed and no run of snapshots is under way."""
        ends = {int(lane): self.log.head(lane).offset for lane in Lane}
        read = all(offset >= ends[lane] for _, lane, offset in self.store.positions())
        return read and self.store.open_run() is None

    @contextmanager
    def workers(self) -> Iterator["Workers"]:
        """All workers of the application; they end in order."""
        workers = Workers(self)
        try:
            yield workers
        finally:
            workers.stop()


@contextmanager
def closed_in_order(app: Application) -> Iterator[Application]:
    """An application, closed at the end of the block."""
    try:
        yield app
    finally:
        app.close()


class Workers:
    """All workers of an application."""

    def __init__(self, app: Application) -> None:
        self._app = app
        processes = app.config.processing_core.worker_processes
        self.each = [OneWorker(app, index, processes) for index in range(processes)]

    def settle(self) -> None:
        """Step them in turn until nothing is left to do for any of them."""
        self._step_until(self._app.is_at_rest)

    def finish_what_is_under_way(self) -> None:
        """Step them until nothing is left to do but to read on in the log."""
        for worker in self.each:
            worker.log.hold(self._app.store.positions())
        self._step_until(lambda: self._app.store.open_run() is None)
        for worker in self.each:
            worker.log.hold(())

    def _step_until(self, at_rest: Callable[[], bool]) -> None:
        for worker in self.each:
            worker.beat()
        for _ in range(MOST_STEPS):
            busy = sum(worker.step() | worker.drain() for worker in self.each)
            if not busy and at_rest():
                return
        raise AssertionError("the workers do not come to rest")

    def stop(self) -> None:
        for worker in self.each:
            worker.stop()


class HeldLog:
    """The log as a worker reads it. While it is held, nothing is there that its partitions have not read."""

    def __init__(self, log: Log, index: int, processes: int) -> None:
        self._log = log
        self._index = index
        self._processes = processes
        self._reached: dict[int, int] = {}

    def hold(self, positions: Iterable[tuple[int, int, int]]) -> None:
        """Hold it at these positions (partition, lane, offset); without any it is not held any more."""
        self._reached = {}
        for partition, lane, offset in positions:
            if partition % self._processes == self._index:
                self._reached[lane] = min(self._reached.get(lane, offset), offset)

    def read(self, lane: Lane, after: int, max_bytes: int) -> list[Entry]:
        entries = self._log.read(lane, after, max_bytes)
        return [entry for entry in entries if entry.offset <= self._reached.get(lane, entry.offset)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


class OneWorker:
    """A worker whose threads do nothing by themselves: `step` is one piece of its work, `drain` brings what
    its hooks returned to the log, `beat` gives a sign of life."""

    def __init__(self, app: Application, index: int, processes: int) -> None:
        config, store = app.config, app.store
        self._store = store
        self._modules = register_modules(config, WorkerIdentity("compat", index, processes))
        self._modules_dir = config.processing_core.modules_dir
        self.log = HeldLog(app.log, index, processes)
        self._lease = store.take_lease(index, processes, "host", 1, LEASE_TTL_S)
        executor = DaemonPool(config.processing_core.worker_threads, "hooks")
        self._means = Means(
            guard=Guard(HookWatch(10, 60), config.processing_core.max_tasks_per_hook),
            executor=executor,
            io=DaemonPool(1, "snapshots"),
            attempts=Attempts(app.data.attempt(index)),
            outbox=OutboxDrainer(app.log, store, self._lease),
            refresh_module=ModuleConfigs(config.path, self._modules).refresh,
        )
        self.seat = Seat(self.log, store, app.clock, self._lease)
        registrations = self._modules.registrar.registrations
        self.parts = worker_parts(self.seat, _settings(config), config.model, registrations, self._means)
        self._worker = Worker(self.parts, threading.Event())
        self.beat()

    def step(self) -> bool:
        """Whether there was anything to do."""
        return self._worker.step()

    def drain(self) -> bool:
        """Whether there was anything to bring to the log."""
        return self._means.outbox.drain_some()

    def beat(self) -> None:
        self._store.heartbeat(self._lease, "working", {**self._means.statistics.numbers(), "slow_hooks": 0})

    def stop(self) -> None:
        self.die()
        self._store.release_lease(self._lease)

    def die(self) -> None:
        """Nothing is done any more, and nobody says so."""
        self._means.attempts.close()
        unload_modules(self._modules_dir)


def _settings(config: Configuration) -> WorkerSettings:
    core, history = config.processing_core, config.history_manager
    cleaning, updater = history.snapshot_cleaning, config.updater
    return WorkerSettings(
        waves=WaveLimits(core.batch_time_limit.total_seconds(), core.worker_threads),
        generations=core.max_generations,
        entities=core.entity_cache_size,
        snapshots=SnapshotSettings(
            _cron(config.snapshots.creation_rate),
            Limits(config.snapshots.keep_empty, config.snapshots.max_component),
            core.worker_threads,
        ),
        cleaning=CleaningSettings(_cron(cleaning.schedule), cleaning.older_than // timedelta(microseconds=1)),
        updates=UpdateSettings(
            _cron(updater.update_batch_cron),
            updater.update_batch_period,
            _cron(updater.cache_management_cron),
            updater.cache_max_entries,
            core.worker_threads,
        ),
        collection=_cron(config.garbage_collector.collection_rate),
        history=HistorySettings(
            _cron(history.aggregation_schedule), _cron(history.datapoint_cleaning_schedule)
        ),
    )


def _cron(schedule: CronExpression) -> dict[str, Any]:
    return schedule.fields() | {"timezone": schedule.timezone}


def _us(moment: str) -> int:
    return to_us(datetime.fromisoformat(moment))
