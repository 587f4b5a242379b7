"""One request and its answer on a connection."""

import asyncio
import re
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

HERE = "dp3.http.here"
"""The extension of a scope that tells, when it is called, whether all of the request has come: then `receive`
returns at once, and nobody has to limit how long it takes."""

_BAD_NAME = re.compile(rb'[\x00-\x20"(),/:;<=>?@\[\\\]{}\x7f]').search
_BAD_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]").search

NO_BODY = (204, 304)
"""Answers of these statuses have no body, so nothing tells its length."""


JOINED = 64 << 10
"""A larger body is not copied behind the head."""


class Exchange(RequestResponseCycle):
    """A request and its answer.

    Beyond what uvicorn does: the head of an answer goes out with the first part of the body, in one piece for
    the client to read. Two cost the server and the client twice as much as the rest of a small answer."""

    _head = b""
    """What waits for the first part of the body."""

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        """Made when the head of the request is complete."""
        parser = protocol.parser
        version = parser.get_http_version()
        scope: Any = protocol.scope
        scope["method"] = parser.get_method().decode("ascii")
        scope["http_version"] = version
        scope["extensions"] = {HERE: self.is_here}
        _note_target(scope, protocol.url)
        super().__init__(
            scope=scope,
            transport=protocol.transport,
            flow=protocol.flow,
            logger=protocol.logger,
            access_logger=protocol.access_logger,
            access_log=False,
            default_headers=protocol.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=protocol.expect_100_continue,
            keep_alive=version != "1.0" and parser.should_keep_alive(),
            on_response=protocol.on_response_complete,
        )

    def is_here(self) -> bool:
        """True if all of the request has come."""
        return not self.more_body

    async def send(self, message: Any) -> None:
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if not self.response_started:
            _expect("http.response.start", message)
            self._begin(message["status"], message.get("headers", ()))
        elif not self.response_complete:
            _expect("http.response.body", message)
            self._go_on(message.get("body", b""), bool(message.get("more_body", False)))
        else:
            raise RuntimeError(f"the answer is complete, got {message['type']!r}")

    def _begin(self, status: int, headers: Any) -> None:
        self.response_started = True
        self.waiting_for_100_continue = False
        parts = [STATUS_LINE[status]]
        for name, value in self.default_headers:
            parts += (name, b": ", value, b"\r\n")
        for name, value in headers:
            if _BAD_NAME(name) or _BAD_VALUE(value):
                raise RuntimeError(f"not a header of HTTP: {name!r}")
            if not self._is_ours(name.lower(), value):
                parts += (name.lower(), b": ", value, b"\r\n")
        if not self.keep_alive:
            parts.append(b"connection: close\r\n")
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in NO_BODY:
            self.chunked_encoding = True
            parts.append(b"transfer-encoding: chunked\r\n")
        parts.append(b"\r\n")
        self._head = b"".join(parts)

    def _is_ours(self, name: bytes, value: bytes) -> bool:
        """Look at headers that tell how the answer ends; that of the connection is written by us."""
        if name == b"content-length" and self.chunked_encoding is None:
            self.expected_content_length = int(value)
            self.chunked_encoding = False
        elif name == b"transfer-encoding" and value.lower() == b"chunked":
            self.expected_content_length = 0
            self.chunked_encoding = True
        elif name == b"connection":
            self.keep_alive = self.keep_alive and b"close" not in value.lower()
            return True
        return False

    def _go_on(self, body: bytes, is_more: bool) -> None:
        head, self._head = self._head, b""
        if self.scope["method"] == "HEAD":
            self.expected_content_length, body = 0, b""
        elif self.chunked_encoding:
            body = _chunk(body, is_more)
        else:
            self.expected_content_length -= len(body)
        left = self.expected_content_length
        if left < 0 or (left and not is_more):
            raise RuntimeError(f"the body is not as long as its Content-Length tells; {left} bytes are left")
        if head and len(body) > JOINED:
            self.transport.write(head)
            self.transport.write(body)
        elif head or body:
            self.transport.write(head + body)
        if not is_more:
            self._complete()

    def _complete(self) -> None:
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


def _note_target(scope: dict[str, Any], url: bytes) -> None:
    """Path and query of a request, as ASGI has them. Raises what the parser refuses a request for."""
    target = httptools.parse_url(url)
    path = target.path.decode("ascii")
    scope["path"] = unquote(path) if "%" in path else path
    scope["raw_path"] = target.path
    scope["query_string"] = target.query or b""


def _chunk(body: bytes, is_more: bool) -> bytes:
    """A part of a body in chunks, which the last one ends."""
    chunk = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
    return chunk if is_more else chunk + b"0\r\n\r\n"


def _expect(kind: str, message: Any) -> None:
    if message["type"] != kind:
        raise RuntimeError(f"expected {kind!r}, got {message['type']!r}")
