"""Opens an application in one process: log and state, all with one clock that stands still, HTTP and workers.

The one place in this folder that knows how an application is put together.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from dp3.clock import FakeClock, to_us
from dp3.clock_watch import ClockWatch
from dp3.config.loading import load
from dp3.engine.assembly import Assembly
from dp3.engine.context import Context
from dp3.engine.ingest.attempts import Attempts
from dp3.engine.statistics import Statistics
from dp3.hooks.loading import unload_modules
from dp3.hooks.watch import HookWatch
from dp3.http.app import create_app
from dp3.http.services import Services
from dp3.log.appender import Appender
from dp3.log.port import Entry, Lane, Log
from dp3.model.task import set_default_model
from dp3.reads.reads import Reads
from dp3.runtime.model import note_model
from dp3.runtime.modules import ModuleConfigs, WorkerIdentity, register_modules
from dp3.runtime.resources import DataDir, event_groups, open_resources
from dp3.store.ports.leases import Holder

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
        services = self._services(appender)
        self._stack.callback(services.pools.close)
        self._app = create_app(services)

    def _services(self, appender: Appender) -> Services:
        return Services(
            model=self.config.model,
            log=self.log,
            store=self.store,
            appender=appender,
            reads=Reads(self.store, self.log, self.config.model, self.clock),
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
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
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
        read = all(offset >= ends[lane] for _, lane, offset in self.store.batches.positions())
        return read and self.store.runs.open() is None

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
            worker.log.hold(self._app.store.batches.positions())
        self._step_until(lambda: self._app.store.runs.open() is None)
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
        self._changes = 0

    def hold(self, positions: Iterable[tuple[int, int, int]]) -> None:
        """Hold it at these positions (partition, lane, offset); without any it is not held any more."""
        self._reached = {}
        self._changes += 1
        for partition, lane, offset in positions:
            if partition % self._processes == self._index:
                self._reached[lane] = min(self._reached.get(lane, offset), offset)

    def read(self, lane: Lane, after: int, max_bytes: int) -> list[Entry]:
        entries = self._log.read(lane, after, max_bytes)
        return [entry for entry in entries if entry.offset <= self._reached.get(lane, entry.offset)]

    def version(self) -> tuple[int, ...]:
        return (*self._log.version(), self._changes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


class OneWorker:
    """A worker whose threads do nothing by themselves: `step` is one piece of its work, `drain` brings what
    its hooks returned to the log, `beat` gives a sign of life."""

    def __init__(self, app: Application, index: int, processes: int) -> None:
        config, core = app.config, app.config.processing_core
        self._store = app.store
        modules = register_modules(config, WorkerIdentity("compat", index, processes))
        self._modules_dir = core.modules_dir
        self.log = HeldLog(app.log, index, processes)
        self._lease = app.store.leases.take(index, processes, Holder("host", 1), LEASE_TTL_S)
        self._attempts = Attempts(app.data.attempt(index))
        self._statistics = Statistics()
        watch = HookWatch(core.hook_timeout.total_seconds(), core.hook_hang.total_seconds())
        assembly = Assembly(
            Context(
                self.log, app.store, app.clock, self._lease, watch, self._statistics, ClockWatch(app.clock)
            ),
            config,
            modules.registrar.registrations,
            self._attempts,
            ModuleConfigs(config.path, modules).refresh,
            threading.Event(),
        )
        self._worker, self._outbox = assembly.worker, assembly.outbox
        self.beat()

    def step(self) -> bool:
        """Whether there was anything to do."""
        return self._worker.step()

    def drain(self) -> bool:
        """Whether there was anything to bring to the log."""
        return self._outbox.drain_some()

    def beat(self) -> None:
        numbers = {**self._statistics.numbers(), "slow_hooks": 0}
        self._store.leases.heartbeat(self._lease, "working", numbers)

    def stop(self) -> None:
        self._attempts.close()
        unload_modules(self._modules_dir)
        self._store.leases.release(self._lease)


def _us(moment: str) -> int:
    return to_us(datetime.fromisoformat(moment))
