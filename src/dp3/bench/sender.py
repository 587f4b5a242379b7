"""One connection of a client that sends data-points."""

import re
import socket
import time
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from dp3.bench.server import credentials

TIMEOUT_S = 120

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE).search
_RETRY_AFTER = re.compile(rb"\r\nretry-after: *(\d+)\r\n", re.IGNORECASE).search


class Reply(NamedTuple):
    """The answer to a request; `retry_after_s`: when to send the request again if the status is 503."""

    status: int
    text: bytes
    retry_after_s: float


class Sender:
    """Posts bodies to `/datapoints` over one connection, one after the other.

    It spends little on that, because the program under test has the same processors: the client of the
    standard library took a third of them. A request is one write, as with most clients, and of an answer only
    what is needed is looked at. Raises `OSError` when the connection ends."""

    def __init__(self, url: str, token: str | None) -> None:
        address = urlsplit(url)
        fields = {"Host": address.netloc, "Content-Type": "application/json", **credentials(token)}
        lines = ["POST /datapoints HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        self._head = "\r\n".join([*lines, "Content-Length: "]).encode()
        self._socket = socket.create_connection((address.hostname, address.port), TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def post(self, body: bytes) -> Reply:
        """Send a body until it is not refused for the moment any more."""
        request = b"%s%d\r\n\r\n%s" % (self._head, len(body), body)
        while (reply := self._exchange(request)).status == 503:
            time.sleep(reply.retry_after_s)
        return reply

    def _exchange(self, request: bytes) -> Reply:
        self._socket.sendall(request)
        head, text = self._read_head()
        length, again = _LENGTH(head), _RETRY_AFTER(head)
        if length is None:
            raise OSError(f"expected an answer that tells its length, got {head[:200]!r}")
        while len(text) < int(length[1]):
            text += self._receive()
        return Reply(int(head[9:12]), text, float(again[1]) if again else 1.0)

    def _read_head(self) -> tuple[bytes, bytes]:
        """The head of an answer, and what has come of its body."""
        received = self._receive()
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._receive()
        return received[: end + 2], received[end + 4 :]

    def _receive(self) -> bytes:
        received = self._socket.recv(1 << 16)
        if not received:
            raise ConnectionResetError("the server ended the connection")
        return received
