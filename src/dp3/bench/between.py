"""A stretch of network between the program and its PostgreSQL server: it delays what passes, and listens."""

import asyncio
import multiprocessing
import selectors
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import cast

from dp3.bench.report import BenchFailed
from dp3.bench.server import free_port
from dp3.bench.wire import Dialogue, Kind

HOST = "127.0.0.1"

READY_S = 30

Heard = dict[int, dict[str, Kind]]
"""Port of the client → its transactions, by kind."""


class Between:
    """The stretch, in a process of its own. `place`: host and port where it listens."""

    def __init__(self, port: int, ask: "Connection[str, Heard]") -> None:
        self.place = HOST, port
        self._ask = ask

    def heard(self) -> Heard:
        """The transactions that are over, as they were heard."""
        self._ask.send("")
        return self._ask.recv()


@contextmanager
def between(server: tuple[str, int], latency_ms: float) -> Iterator[Between]:
    """Pass on what comes to a port to a server (host, or directory of its sockets, and port), and its answers
    back, each half of `latency_ms` later, until the end of the block."""
    ours, theirs = multiprocessing.Pipe()
    port = free_port()
    process = multiprocessing.Process(
        target=_run, args=(port, server, latency_ms / 2_000, theirs), daemon=True
    )
    process.start()
    try:
        if not ours.poll(READY_S):
            raise BenchFailed("the way to the server did not get ready")
        ours.recv()
        yield Between(port, ours)
    finally:
        process.terminate()
        process.join()


def _run(port: int, server: tuple[str, int], delay_s: float, tell: "Connection[Heard, str]") -> None:
    # Others of the standard library's selectors wait for whole milliseconds.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    dialogues: dict[int, Dialogue] = {}

    async def main() -> None:
        await loop.create_server(lambda: _Client(loop, server, delay_s, dialogues), HOST, port)
        loop.add_reader(tell.fileno(), lambda: _answer(tell, dialogues))
        tell.send({})
        await asyncio.Event().wait()

    loop.run_until_complete(main())


def _answer(tell: "Connection[Heard, str]", dialogues: dict[int, Dialogue]) -> None:
    tell.recv()
    tell.send({port: dialogue.kinds for port, dialogue in dialogues.items()})


class _Late:
    """Hands on what it is given after a delay, in order."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, delay_s: float, write: Callable[[bytes], None]
    ) -> None:
        self._loop = loop
        self._delay_s = delay_s
        self._write = write
        self._waiting: deque[bytes] = deque()

    def pass_on(self, data: bytes) -> None:
        if self._delay_s == 0:
            self._write(data)
            return
        self._waiting.append(data)
        self._loop.call_later(self._delay_s, self._next)

    def _next(self) -> None:
        self._write(self._waiting.popleft())


class _Client(asyncio.Protocol):
    """The side of the client of one connection."""

    def __init__(
        self,
        loop: asyncio.SelectorEventLoop,
        server: tuple[str, int],
        delay_s: float,
        dialogues: dict[int, Dialogue],
    ) -> None:
        self._loop = loop
        self._server = server
        self._delay_s = delay_s
        self._dialogues = dialogues
        self._dialogue = Dialogue()
        self._early: list[bytes] = []
        self._late: _Late | None = None
        self._upstream: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._dialogues[transport.get_extra_info("peername")[1]] = self._dialogue
        self._connecting = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        host, port = self._server
        back = _Late(self._loop, self._delay_s, self._transport.write)
        make = lambda: _Upstream(self._transport, self._dialogue, back)  # noqa: E731
        if host.startswith("/"):
            made, _ = await self._loop.create_unix_connection(make, f"{host}/.s.PGSQL.{port}")
        else:
            made, _ = await self._loop.create_connection(make, host, port)
        self._upstream = made
        self._late = _Late(self._loop, self._delay_s, made.write)
        for data in self._early:
            self._late.pass_on(data)

    def data_received(self, data: bytes) -> None:
        self._dialogue.client_sent(data)
        if self._late is None:
            self._early.append(data)
        else:
            self._late.pass_on(data)

    def connection_lost(self, error: Exception | None) -> None:
        if self._upstream is not None:
            self._upstream.close()


class _Upstream(asyncio.Protocol):
    """The side of the server."""

    def __init__(self, client: asyncio.Transport, dialogue: Dialogue, back: _Late) -> None:
        self._client = client
        self._dialogue = dialogue
        self._back = back

    def data_received(self, data: bytes) -> None:
        self._dialogue.server_sent(data)
        self._back.pass_on(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._client.close()
