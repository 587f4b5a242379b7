"""Accepting connections: many in one turn of the event loop."""

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol

from dp3.http.connections import Connections
from dp3.http.protocol import HttpProtocol

AT_ONCE = 128
"""Connections that are accepted in one turn of the loop. uvloop's own server accepts one: behind 800 that all
had something to do, a new client waited for as many turns."""

PAUSE_S = 0.1
"""After a connection that could not be accepted the next one is tried so much later."""


class Taker(Protocol):
    """Leads accepted connections to their protocol."""

    @property
    def under_way(self) -> int:
        """Connections that were taken and are not among `Connections` yet."""
        ...

    def take(self, accepted: socket.socket) -> None:
        """Called with each new connection, which does not block."""
        ...


class Acceptor:
    """Accepts the connections of one listening socket, from `start` to `stop`."""

    def __init__(self, listener: socket.socket, connections: Connections, taker: Taker) -> None:
        self._listener = listener
        self._connections = connections
        self._taker = taker
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        listener.setblocking(False)

    def start(self) -> None:
        """Accept from now on."""
        self._pause = None
        self._loop.add_reader(self._listener, self._accept)

    def stop(self) -> None:
        """Accept nothing more. What was accepted goes on."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener)

    def _most(self) -> int:
        """One when there is no room: the next one would take the place of that one, which is silent as long
        as nothing was read from it."""
        return max(1, min(AT_ONCE, self._connections.room - self._taker.under_way))

    def _accept(self) -> None:
        for _ in range(self._most()):
            try:
                accepted, _address = self._listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:  # no file is left
                self._connections.note(f"could not be accepted at once ({error.strerror})")
                self.stop()
                self._pause = self._loop.call_later(PAUSE_S, self.start)
                return
            accepted.setblocking(False)
            self._taker.take(accepted)


class Plain:
    """Connections without TLS: each is that of a protocol made by `http` at once."""

    def __init__(self, http: Callable[[], HttpProtocol]) -> None:
        self._http = http
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def under_way(self) -> int:
        return len(self._tasks)

    def take(self, accepted: socket.socket) -> None:
        task = self._loop.create_task(self._connect(accepted))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._http, accepted)
        except OSError:
            accepted.close()  # the client went away
