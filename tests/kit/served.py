"""A small ASGI application behind the server of the API, in a thread, with sockets as clients have them."""

import asyncio
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from starlette.types import Receive, Scope, Send

from dp3.http.connections import Connections
from dp3.http.listener import listen
from dp3.http.server import http_server
from kit.raw_http import LIMIT_S

LARGE = 8 << 20
"""Bytes of a large answer: more than a socket takes."""


class Answers:
    """`/PATH` says what came, `/large` answers at length, `/wait` answers when `go` is set, `/parts` answers
    in parts of no declared length, `/wrong` begins an answer that is not HTTP, as `/short` and `/long` end
    theirs. Each holds the event loop for `work_s`."""

    def __init__(self, work_s: float = 0.0) -> None:
        self._work_s = work_s
        self.go = threading.Event()
        self.begun: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        self.begun.append(scope["path"])
        time.sleep(self._work_s)
        while scope["path"] == "/wait" and not self.go.is_set():
            await asyncio.sleep(0.005)
        body = b" " * LARGE if scope["path"] == "/large" else await self._told(scope, receive)
        await send({"type": "http.response.start", "status": 200, "headers": _headers(scope["path"], body)})
        if scope["path"] == "/parts":
            for part in (b"", b"first, ", b"second"):
                await send({"type": "http.response.body", "body": part, "more_body": True})
            body = b""
        await send({"type": "http.response.body", "body": body})

    async def _told(self, scope: Scope, receive: Receive) -> bytes:
        body, more = b"", scope["path"] != "/early"
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        told = {"method": scope["method"], "path": scope["path"], "body": body.decode(), "headers": headers}
        return json.dumps(told).encode()

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})


def _headers(path: str, body: bytes) -> list[tuple[bytes, bytes]]:
    if path == "/parts":
        return []
    length = len(body) + {"/short": 1, "/long": -1}.get(path, 0)
    others = [(b"x-note", b"a\r\nset-cookie: b")] if path == "/wrong" else []
    return [(b"content-length", b"%d" % length), *others]


class Served:
    """The application while it is served."""

    def __init__(self, app: Answers, port: int, client_tls: ssl.SSLContext | None) -> None:
        self.app = app
        self.port = port
        self._tls = client_tls

    def connect(self) -> socket.socket:
        """A connection, with its TLS handshake done if the server speaks TLS."""
        plain = self.connect_plain()
        return plain if self._tls is None else self._tls.wrap_socket(plain, server_hostname="localhost")

    def connect_plain(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT_S)

    def exchange(self, *pieces: bytes) -> bytes:
        """All that comes back for these pieces on one connection until the server closes it."""
        with self.connect() as connection:
            for piece in pieces:
                try:
                    connection.sendall(piece)
                except (BrokenPipeError, ConnectionResetError):
                    break
            return rest_of(connection)

    def ask(self, path: str = "/") -> dict[str, Any]:
        """What the application says on a connection of its own."""
        answer = self.exchange(b"GET %s HTTP/1.1\r\nConnection: close\r\n\r\n" % path.encode())
        told: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
        return told


def rest_of(connection: socket.socket) -> bytes:
    """Everything until the server closes."""
    received = bytearray()
    try:
        while piece := connection.recv(1 << 20):
            received += piece
    except (ConnectionResetError, ssl.SSLEOFError):
        pass
    return bytes(received)


@contextmanager
def served(
    limit: int = 1000,
    tls: ssl.SSLContext | None = None,
    client_tls: ssl.SSLContext | None = None,
    work_s: float = 0.0,
) -> Iterator[Served]:
    """Serve with at most `limit` connections until the end of the block."""
    app, stop, listener = Answers(work_s), threading.Event(), listen("127.0.0.1", 0)
    server = http_server(app, Connections(limit), stop, tls)
    run: Callable[[], None] = lambda: server.run(sockets=[listener])  # noqa: E731
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield Served(app, listener.getsockname()[1], client_tls)
    finally:
        app.go.set()
        stop.set()
        thread.join(LIMIT_S)
        assert not thread.is_alive()
