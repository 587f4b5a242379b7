"""Requests to a running program as raw as a test wants them; none is repeated."""

import http.client
import json
import socket
from collections.abc import Mapping
from typing import Any

LIMIT_S = 40.0


class RawHttp:
    """One connection for each request."""

    def __init__(self, port: int) -> None:
        self._port = port

    def request(
        self, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and decoded body of one exchange."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=LIMIT_S)
        try:
            connection.request(method, target, body, dict(headers or {}))
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text

    def get(self, target: str) -> Any:
        status, answer = self.request("GET", target)
        assert status == 200, (target, status, answer)
        return answer

    def send(self, points: Any, *, wait: bool = False) -> tuple[int, Any]:
        target = "/datapoints?wait=true" if wait else "/datapoints"
        return self.request("POST", target, json.dumps(points).encode())

    def exchange(self, sent: bytes, *, close: bool = False) -> bytes:
        """All that comes back for these bytes on one connection until the server closes it."""
        with socket.create_connection(("127.0.0.1", self._port), timeout=LIMIT_S) as connection:
            connection.sendall(sent)
            if close:
                connection.shutdown(socket.SHUT_WR)
            received = b""
            try:
                while chunk := connection.recv(1 << 16):
                    received += chunk
            except ConnectionResetError:
                pass
            return received
