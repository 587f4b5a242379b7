"""A whole node in one process: an application with its HTTP API, and data-points as clients send them."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from dp3.config.sections import ApiSettings
from dp3.http.app import create_app
from dp3.http.services import Services
from dp3.log.appender import Appender
from dp3.model.spec import ModelSpec
from dp3.store.ports.state import State
from kit.engine import Engine, Register, no_hooks
from kit.specs import a_type, hourly, plain_attr, series_attr
from kit.worker import Options

T = TypeVar("T")

NOW = "2020-01-01T12:00:00Z"
NOW_US = 1_577_880_000_000_000
LIMIT_S = 10

CONFIG: dict[str, Any] = {
    "a": a_type(
        "a",
        {
            "p": plain_attr("int", ttl="10s"),
            "s": plain_attr("string"),
            "f": plain_attr("float"),
            "ip": plain_attr("ipv4"),
            "mac": plain_attr("mac"),
            "when": plain_attr("time"),
            "free": plain_attr("special"),
            "arr": plain_attr("array<string>"),
            "macs": plain_attr("array<mac>"),
            "set": plain_attr("set<int>"),
            "d": plain_attr("dict<x:int, y?:string>"),
            "cat": plain_attr("category<string;up,down>"),
            "js": plain_attr("json"),
            "flag": plain_attr("tag"),
            "o": hourly("int"),
            "om": hourly("string", multi_value=True),
            "l": hourly("link<b;mirror=as>", multi_value=True),
            "t": series_attr(series={"x": {"data_type": "int"}, "y": {"data_type": "float"}}),
            "ti": series_attr("irregular"),
        },
        name="A",
        id_data_type="string",
    ),
    "b": a_type(
        "b",
        {"p": plain_attr("int")},
        name="B",
        id_data_type="int",
        lifetime={"type": "ttl", "on_create": "1h"},
    ),
    "m": a_type("m", {"p": plain_attr("int")}, name="M", id_data_type="mac"),
}

MODEL = ModelSpec(CONFIG)

NESTED: dict[str, Any] = {
    "ld": hourly("link<b,dict<x:int, y?:string>>"),
    "lds": plain_attr("array<link<b,dict<x:int>>>"),
    "ls": plain_attr("set<link<b,dict<x:int>>>"),
    "ll": plain_attr("link<b,array<link<b,dict<x:int>>>>"),
}
"""Attributes with objects inside other values."""

NESTED_MODEL = ModelSpec({**CONFIG, "a": {**CONFIG["a"], "attribs": {**CONFIG["a"]["attribs"], **NESTED}}})

SERVICES = {
    "worker_processes": 1,
    "wait_limit_s": 0.1,
    "allowed_actions": ("make_snapshots", "refresh_module_config", "refresh_on_entity_creation"),
}


def dp(attr: str, v: Any, eid: Any = "e1", etype: str = "a", **more: Any) -> dict[str, Any]:
    """A data-point as clients send it."""
    return {"type": etype, "id": eid, "attr": attr, "v": v, **more}


def obs(attr: str, v: Any, t1: str | int = NOW, **more: Any) -> dict[str, Any]:
    """A data-point with times, valid at `NOW`."""
    return dp(attr, v, t1=t1, **more)


class Node:
    """Requests go through the real ASGI application, on one event loop. `prepare` may change the state before
    the application sees it; `reads` are the settings of `Reads`."""

    def __init__(
        self,
        directory: Path,
        runner: asyncio.Runner,
        *,
        settings: dict[str, Any] | None = None,
        prepare: Callable[[State], None] | None = None,
        register: Register = no_hooks,
        reads: dict[str, Any] | None = None,
        model: ModelSpec = MODEL,
        **services: Any,
    ) -> None:
        self._runner = runner
        self._register = register
        self.engine = Engine(directory, model, Options(drains=True), now_us=NOW_US, module="test")
        self.clock, self.log, self.store = self.engine.clock, self.engine.log, self.engine.store
        if prepare:
            prepare(self.store)
        self.appender = Appender(self.log)
        self.services = Services(
            model=model,
            log=self.log,
            store=self.store,
            reads=self.engine.reads(**(reads or {})),
            settings=ApiSettings(**(settings or {})),
            clock=self.clock,
            **{"appender": self.appender, **SERVICES, **services},
        )
        self.app = create_app(self.services)

    def close(self) -> None:
        self.appender.close()
        self.services.pools.close()
        self.engine.close()

    # -- requests --------------------------------------------------------------------------------------
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
        return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")

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

    # -- workers ---------------------------------------------------------------------------------------
    def process(self) -> None:
        """Let a worker process everything that waits."""
        self.engine.work(self._register)

    @contextmanager
    def working(self) -> Iterator[None]:
        """A worker that works in the background."""
        with self.engine.worker(self._register) as worker, worker.in_background():
            yield

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """For what a background worker does on its own."""
        deadline = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < deadline
