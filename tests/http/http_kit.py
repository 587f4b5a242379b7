"""A whole node in one process for tests: log, state, worker and HTTP application, all real."""

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx

from dp3.clock import FakeClock, to_us
from dp3.config.sections import ApiSettings
from dp3.engine.appender import Appender
from dp3.engine.assembly import Means, WorkerSettings, worker_parts
from dp3.engine.attempts import Attempts
from dp3.engine.history_work import HistorySettings
from dp3.engine.outbox import OutboxDrainer
from dp3.engine.profiles import ProfileReader
from dp3.engine.seat import Seat
from dp3.engine.snapshots.cleaning import CleaningSettings
from dp3.engine.snapshots.setup import SnapshotSettings
from dp3.engine.updater.work import UpdateSettings
from dp3.engine.waves import WaveLimits
from dp3.engine.worker import Worker
from dp3.hooks.guard import Guard
from dp3.hooks.pool import DaemonPool
from dp3.hooks.registrar import CallbackRegistrar
from dp3.hooks.watch import HookWatch
from dp3.http.app import create_app
from dp3.http.services import Services
from dp3.log.segments import open_log
from dp3.model.spec import ModelSpec
from dp3.store.sqlite import open_store

T = TypeVar("T")

NOW = "2020-01-01T12:00:00Z"
NOW_US = 1_577_880_000_000_000
NEVER = {"year": 2100}

SETTINGS = WorkerSettings(
    waves=WaveLimits(1.0, 1),
    generations=16,
    entities=1_000,
    snapshots=SnapshotSettings(cron=NEVER),
    cleaning=CleaningSettings(NEVER, 0),
    updates=UpdateSettings(NEVER, timedelta(minutes=5), NEVER),
    collection=NEVER,
    history=HistorySettings(NEVER, NEVER),
)


def observations(data_type: str, **more: Any) -> dict[str, Any]:
    validity = {"pre_validity": "1h", "post_validity": "1h"}
    return {"name": "x", "type": "observations", "data_type": data_type, "history_params": validity, **more}


def plain(data_type: str, **more: Any) -> dict[str, Any]:
    return {"name": "x", "type": "plain", "data_type": data_type, **more}


def entity(etype: str, id_data_type: str = "string", **more: Any) -> dict[str, Any]:
    return {"id": etype, "id_data_type": id_data_type, "name": etype.upper(), "snapshot": True, **more}


CONFIG: dict[str, Any] = {
    "a": {
        "entity": entity("a"),
        "attribs": {
            "p": plain("int", ttl="10s"),
            "s": plain("string"),
            "f": plain("float"),
            "ip": plain("ipv4"),
            "mac": plain("mac"),
            "when": plain("time"),
            "free": plain("special"),
            "arr": plain("array<string>"),
            "macs": plain("array<mac>"),
            "set": plain("set<int>"),
            "d": plain("dict<x:int, y?:string>"),
            "cat": plain("category<string;up,down>"),
            "js": plain("json"),
            "flag": plain("tag"),
            "o": observations("int"),
            "om": observations("string", multi_value=True),
            "l": observations("link<b;mirror=as>", multi_value=True),
            "t": {
                "name": "x",
                "type": "timeseries",
                "timeseries_type": "regular",
                "timeseries_params": {"time_step": "5m"},
                "series": {"x": {"data_type": "int"}, "y": {"data_type": "float"}},
            },
            "ti": {
                "name": "x",
                "type": "timeseries",
                "timeseries_type": "irregular",
                "timeseries_params": {},
                "series": {"x": {"data_type": "int"}},
            },
        },
    },
    "b": {
        "entity": entity("b", "int", lifetime={"type": "ttl", "on_create": "1h"}),
        "attribs": {"p": plain("int")},
    },
    "m": {"entity": entity("m", "mac"), "attribs": {"p": plain("int")}},
}

MODEL = ModelSpec(CONFIG)


SERVICES = {
    "worker_processes": 1,
    "wait_limit_s": 0.1,
    "allowed_actions": ("make_snapshots", "refresh_module_config", "refresh_on_entity_creation"),
}


class Node:
    """One application. Requests go through the real ASGI application, on one event loop."""

    def __init__(
        self,
        directory: Path,
        runner: asyncio.Runner,
        *,
        settings: dict[str, Any] | None = None,
        register: Callable[[CallbackRegistrar], None] = lambda registrar: None,
        **services: Any,
    ) -> None:
        self._runner = runner
        self.clock = FakeClock(NOW_US)
        self.log = open_log(directory, self.clock)
        self.store = open_store(directory, self.clock, partitions=8)
        self.appender = Appender(self.log)
        self.services = Services(
            model=MODEL,
            log=self.log,
            store=self.store,
            reader=ProfileReader(self.store, MODEL, self.clock),
            settings=ApiSettings(**(settings or {})),
            clock=self.clock,
            **{"appender": self.appender, **SERVICES, **services},
        )
        self.app = create_app(self.services)
        registrar = CallbackRegistrar(MODEL)
        register(registrar.for_module("test"))
        self._registrations = registrar.registrations
        self._attempts = directory / "attempt"

    def close(self) -> None:
        self.appender.close()
        self.log.close()
        self.store.close()

    def run(self, awaitable: Awaitable[T]) -> T:
        async def wait() -> T:
            return await awaitable

        return self._runner.run(wait())

    def end_lifespan(self) -> None:
        """Start and stop the application as a server does."""
        messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            assert message["type"].endswith(".complete"), message

        self.run(self.app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send))

    def request(self, method: str, url: str, **kwargs: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            async with self.client() as client:
                return await client.request(method, url, **kwargs)

        return self._runner.run(send())

    def client(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=("127.0.0.9", 1))
        return httpx.AsyncClient(transport=transport, base_url="http://node")

    def get(self, url: str, **kwargs: Any) -> httpx.Response:
        return self.request("GET", url, **kwargs)

    def post(self, url: str, body: Any = None, **kwargs: Any) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request("POST", url, content=content, **kwargs)

    def send(self, *datapoints: dict[str, Any], **kwargs: Any) -> httpx.Response:
        return self.post("/datapoints", list(datapoints), **kwargs)

    def store_points(self, *datapoints: dict[str, Any]) -> None:
        """Send data-points and process them."""
        response = self.send(*datapoints)
        assert response.status_code == 200, response.text
        self.process()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """For what a background worker does on its own."""
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline

    def process(self) -> None:
        """Let a worker process everything that waits."""
        with self._worker() as worker:
            while worker.step():
                pass

    @contextmanager
    def working(self) -> Iterator[None]:
        """A worker that works in the background."""
        stop = threading.Event()
        with self._worker(stop) as worker:
            thread = threading.Thread(target=worker.run)
            thread.start()
            try:
                yield
            finally:
                stop.set()
                thread.join()

    @contextmanager
    def _worker(self, stop: threading.Event | None = None) -> Iterator[Worker]:
        lease = self.store.take_lease(0, 1, "host", 1, 15)
        self.store.heartbeat(lease, "working")
        executor = DaemonPool(1, "hooks")
        means = Means(
            guard=Guard(HookWatch(10, 60), 100),
            executor=executor,
            io=executor,
            attempts=Attempts(self._attempts),
            outbox=OutboxDrainer(self.log, self.store, lease),
            refresh_module=lambda name: {},
        )
        means.outbox.start()
        seat = Seat(self.log, self.store, self.clock, lease)
        parts = worker_parts(seat, SETTINGS, MODEL, self._registrations, means)
        try:
            yield Worker(parts, stop or threading.Event())
        finally:
            means.outbox.stop(10)
            means.attempts.close()
            self.store.release_lease(lease)


def dp(attr: str, v: Any, eid: Any = "e1", etype: str = "a", **more: Any) -> dict[str, Any]:
    """A data-point as clients send it; attributes with times are valid at NOW."""
    return {"type": etype, "id": eid, "attr": attr, "v": v, **more}


def obs(attr: str, v: Any, t1: str | int = NOW, **more: Any) -> dict[str, Any]:
    return dp(attr, v, t1=t1, **more)


__all__ = ["CONFIG", "MODEL", "NOW", "NOW_US", "Node", "dp", "obs", "to_us"]
