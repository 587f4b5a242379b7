"""TLS handshakes of new connections."""

import asyncio
import socket
import ssl
from collections.abc import Callable

from dp3.http.connections import HEAD_S, Connection, Connections
from dp3.http.protocol import HttpProtocol

SHUTDOWN_S = 3600.0
"""So long uvloop lets an answer take after its connection was closed; `Connections` knows better."""


class Handshakes:
    """Leads each connection through its handshake; then a protocol made by `http` takes over.

    uvloop's own server tells of a connection only when its handshake is over. So one that never ends would
    be counted nowhere and could not make room."""

    def __init__(
        self,
        context: ssl.SSLContext,
        connections: Connections,
        http: Callable[[Connection], HttpProtocol],
    ) -> None:
        self._context = context
        self._connections = connections
        self._http = http

    @property
    def under_way(self) -> int:
        return 0

    def take(self, accepted: socket.socket) -> None:
        handshake = _Handshake(self._connections, accepted)
        if self._connections.opened(handshake):
            handshake.begin(self._context, self._http)
        else:
            accepted.close()


class _Handshake:
    """One connection until its handshake is over."""

    def __init__(self, connections: Connections, accepted: socket.socket) -> None:
        self._connections = connections
        self._accepted = accepted
        self._task: asyncio.Task[None]

    def begin(self, context: ssl.SSLContext, http: Callable[[Connection], HttpProtocol]) -> None:
        """Shake hands; `http` gets this connection, whose place its protocol takes."""
        self._task = asyncio.get_running_loop().create_task(self._shake_hands(context, http))

    async def _shake_hands(self, context: ssl.SSLContext, http: Callable[[Connection], HttpProtocol]) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: http(self),
                self._accepted,
                ssl=context,
                ssl_handshake_timeout=HEAD_S,
                ssl_shutdown_timeout=SHUTDOWN_S,
            )
        except OSError:
            self._accepted.close()  # it failed, or took too long, or the client went away
        finally:
            self._connections.closed(self)

    @property
    def unread_bytes(self) -> int:
        return 0

    @property
    def is_closing(self) -> bool:
        return False

    def has_read(self) -> None:
        """Nothing is ever unread."""

    def time_out(self) -> None:
        self.drop()

    def drop(self) -> None:
        self._task.cancel()
        self._accepted.close()
