"""HTTP on one connection: the server's protocol, within bounds."""

import asyncio
from collections import deque
from functools import partial
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from dp3.http.access_log import log_refused
from dp3.http.answers import Refusal, busy, refused
from dp3.http.connections import HEAD_S, Connection, Connections
from dp3.http.exchange import Exchange
from dp3.http.turns import Turns
from dp3.model.canonical import encode_json

MAX_HEAD = 64 << 10
"""Bytes of the head of a request: its first line and its header fields."""

MAX_FIELDS = 100
"""Header fields of a request."""

MAX_PATH = 8 << 10
"""Bytes of a path, without its query: decoding 20 000 encoded ones takes 6 ms."""

MAX_PIPELINED = 128
"""Requests that may wait on one connection until those before them are answered."""

MAX_FRAMING = 64 << 10
"""Bytes around the chunks of a body, beyond as many as are in them: small ones cost as much as large ones."""

DRAIN_FRAMING = 16 << 10
"""The same for what is left of a body whose request is answered already."""

PIECE = 16 << 10
"""Bytes that are parsed at once: 2 ms in the smallest chunks."""

CALLS_IN_TURN = 1000
"""After so many calls by the parser in a turn of the event loop, about 1 ms, others have theirs. A body in
large chunks makes one for each piece."""

KEEP_ALIVE_S = 5.0
"""A connection without a request is kept so long after an answer."""

DRAIN_S = 30.0
"""What is left of a body whose request is answered already is read for so long."""

LINGER_S = 10.0
"""A client whose request is refused may go on sending for so long, so that it finds the answer: a connection
that is closed while data comes is reset, and the answer may be lost."""

REFUSED_S = 1.0
"""A client for which there is no room has so long to read that."""

TLS_PIECE = 256 << 10
"""Bytes that are encrypted at once."""

LONG_QUERIES = (
    "questions with long filters or lists of ids can be sent as the body of a POST to the same path"
)

SMALL_CHUNKS = "the body comes in chunks of a few bytes; send larger ones, or Content-Length"

NO_ROOM = "too many connections are open; try again later"


class _Flow(FlowControl):
    """Reads nothing while requests wait, or data that is not parsed: the data of an endless pipeline stays
    with its sender."""

    def __init__(self, transport: asyncio.Transport, pipeline: deque[Any], unfed: deque[bytes]) -> None:
        super().__init__(transport)
        self._pipeline = pipeline
        self._unfed = unfed

    def resume_reading(self) -> None:
        if not self._pipeline and not self._unfed:
            super().resume_reading()


class _Pieces:
    """A transport with TLS, which takes any amount at once and then counts nothing of it as unread: it gets
    large answers piece by piece, so that it tells when the client does not take them."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def write(self, data: bytes) -> None:
        for start in range(0, len(data), TLS_PIECE):
            self._transport.write(data[start : start + TLS_PIECE])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class HttpProtocol(HttpToolsProtocol):
    """One connection.

    Beyond what uvicorn does: heads, trailers and pipelines are bounded, time is limited wherever the client
    is waited for, answers are not piled up for a client that does not read them, errors are answered in the
    API's shape and in their turn, and requests to upgrade to another protocol are taken as plain ones.
    """

    def __init__(
        self,
        connections: Connections,
        turns: Turns,
        *,
        access_log: bool,
        handshake: Connection | None = None,
        **given: Any,
    ) -> None:
        super().__init__(**given)
        self._connections = connections
        self._turns = turns
        self._handshake = handshake
        self._logs_access = access_log
        self._between = True
        """Whether the next byte belongs to a head, not to the body of the latest request."""
        self._begun = False
        """Whether a head has begun that is not complete."""
        self._is_receiving = False
        self._limit_s = HEAD_S
        """The time limit of the present silence; 0 while a request is in work."""
        self._unfed: deque[bytes] = deque()
        """Pieces that came and wait for a next turn of the event loop."""
        self._called = 0
        """Calls of the parser about bodies in this turn."""
        self._fed = 0
        """Bytes that the parser has now."""
        self._data = 0
        """Bytes of bodies in those."""
        self._framing = 0
        """Bytes around chunks of the present body, less the bytes in them."""
        self._drained = 0
        """Bytes around chunks since the answer."""
        self._unproductive = 0
        """Bytes before those, since the latest complete head, part of a body or end of a body."""
        self._produced = False
        self._is_over = False
        """Whether nothing that comes is read any more."""
        self._refusal: Refusal | None = None
        self._is_held = False

    # -- called by the transport -----------------------------------------------------------------------
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline, self._unfed)
        if self._handshake is not None:
            self._connections.closed(self._handshake)
            self.transport = _Pieces(transport)  # type: ignore[assignment]
        if not self._connections.opened(self):
            self._is_over = True
            self._write_refusal(busy(NO_ROOM))
            transport.close()
            self.loop.call_later(REFUSED_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.closed(self)
        super().connection_lost(exc)
        self.pipeline.clear()
        self._unfed.clear()

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        is_waiting = bool(self._unfed)
        if not is_waiting and len(data) <= PIECE:
            self._feed(data)
            return
        self._unfed.extend(data[start : start + PIECE] for start in range(0, len(data), PIECE))
        if not is_waiting:
            self._feed_on()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._connections.unread(self)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._connections.read(self)
        self.has_read()

    # -- called by the parser --------------------------------------------------------------------------
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begun = True

    def on_headers_complete(self) -> None:
        is_too_large = self._unproductive + self._fed > MAX_HEAD and self._head_size() > MAX_HEAD
        if is_too_large or len(self.headers) > MAX_FIELDS:
            raise self._too_large()
        if len(self.url) > MAX_PATH and len(self.url.partition(b"?")[0]) > MAX_PATH:
            raise refused(HTTPStatus.REQUEST_URI_TOO_LONG, f"the path is longer than {MAX_PATH} bytes")
        if self.parser.should_upgrade():
            return  # `data_received` comes back with the same head without its wish
        if len(self.pipeline) >= MAX_PIPELINED:
            raise refused(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"more than {MAX_PIPELINED} requests wait on this connection; wait for answers",
            )
        self._begin_exchange()
        self.headers = []  # trailers are no headers of the request
        self._between, self._begun, self._produced = False, False, True
        self._framing = self._drained = 0
        self._limit_s = 0.0
        self._connections.working(self)

    def _begin_exchange(self) -> None:
        """Have the request answered when it is its turn."""
        before, self.cycle = self.cycle, Exchange(self)
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._produced = True
        self._called += 1
        self._data += len(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._between = self._produced = True

    def _should_upgrade(self) -> bool:
        """True if the callbacks of the parser leave the present message alone."""
        return True

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._turns.begin(partial(super()._start_asgi_task, cycle, app))

    # -- called by the request's cycle -----------------------------------------------------------------
    def on_response_complete(self) -> None:
        """The answer to one request is written, as far as the client takes it."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.flow.write_paused:
            self._is_held = True
            self.flow.pause_reading()
        else:
            self._next()

    # -- called by the registry ------------------------------------------------------------------------
    @property
    def unread_bytes(self) -> int:
        return self.transport.get_write_buffer_size()

    @property
    def is_closing(self) -> bool:
        return self.transport.is_closing()

    def has_read(self) -> None:
        if self._is_held and not self.transport.is_closing():
            self._is_held = False
            self._next()

    def time_out(self) -> None:
        if self.unread_bytes:
            self._connections.unread(self)
            self.transport.close()
        elif self.transport.is_closing():
            self.drop()
        elif self._begun and not self._is_over:
            self._refuse(
                refused(
                    HTTPStatus.REQUEST_TIMEOUT, f"the head of the request did not come within {HEAD_S:g} s"
                )
            )
        else:
            self.transport.close()

    def drop(self) -> None:
        self.transport.abort()

    # -- parsing ---------------------------------------------------------------------------------------
    def _feed_on(self) -> None:
        """Feed what waits, until that was enough for one turn of the event loop."""
        if self.transport.is_closing():
            self._unfed.clear()
            return
        self._called = 0
        while self._unfed and self._called < CALLS_IN_TURN:
            self._feed(self._unfed.popleft())
        if self._unfed:
            self.flow.pause_reading()
            self.loop.call_soon(self._feed_on)
        elif not self._is_held and not self._is_full() and not self.transport.is_closing():
            self.flow.resume_reading()

    def _is_full(self) -> bool:
        """True if the request in work has to take from its body before more is read."""
        cycle = self.cycle
        return cycle is not None and not cycle.response_complete and len(cycle.body) > HIGH_WATER_LIMIT

    def _feed(self, data: bytes) -> None:
        while data and not self._is_over:
            data = self._parse(data)

    def _parse(self, data: bytes) -> bytes:
        """Feed the parser once; what is to be fed next."""
        is_body = not self._between
        self._fed, self._data, self._produced = len(data), 0, False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            taken: int = upgrade.args[0]
        except httptools.HttpParserError as error:
            self._refuse(_refusal(error))
            return b""
        else:
            self._count(is_body and not self._between)
            return b""
        return self._without_upgrade(data[taken:])

    def _count(self, is_body: bool) -> None:
        """Look at how much of what was fed led to something. `is_body`: all of it is of one body."""
        if self._produced:
            self._unproductive = 0
        else:
            self._unproductive += self._fed
            self._called = CALLS_IN_TURN  # calls for header fields are not counted
            if self._unproductive > MAX_HEAD or (self._begun and len(self.headers) > MAX_FIELDS):
                self._refuse(self._too_large())
                return
        if not is_body:
            self._settle()
        elif self.cycle.response_complete:
            self._drained += self._fed - self._data
            if self._drained > DRAIN_FRAMING:
                self._connections.note("with the rest of a body in chunks that are too small")
                self._stop_reading()
                self._end(None)
        else:
            self._framing += self._fed - 2 * self._data
            if self._framing > MAX_FRAMING:
                self._refuse(refused(HTTPStatus.BAD_REQUEST, SMALL_CHUNKS))

    # --------------------------------------------------------------------------------------------------
    def _next(self) -> None:
        """Go on after an answer: with the next request that waits, or by waiting for one."""
        if self.pipeline:
            self._turns.begin_pipelined(partial(self._begin_pipelined, *self.pipeline.pop()))
        elif self._refusal is not None:
            self._end(self._refusal)
        else:
            self.flow.resume_reading()
            self._settle()

    def _begin_pipelined(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self.parser is not None:  # the client is still there
            super()._start_asgi_task(cycle, app)

    def _settle(self) -> None:
        """Tell the registry what is waited for, when it has changed."""
        if self.cycle is not None and not self.cycle.response_complete:
            if self._is_receiving == self._between:
                self._is_receiving = not self._between
                self._connections.receiving(self, self._is_receiving)
            return
        if self._is_receiving:
            self._is_receiving = False
            self._connections.receiving(self, False)
        limit_s = DRAIN_S if not self._between else HEAD_S if self._begun else KEEP_ALIVE_S
        if limit_s != self._limit_s:
            self._limit_s = limit_s
            self._connections.silent(self, limit_s)

    def _without_upgrade(self, rest: bytes) -> bytes:
        """The head of a request once more, without its wish to speak another protocol, and what came after
        it. The server may ignore such a wish (RFC 9110, 7.8); the parser would take what follows for
        that protocol, or for a next request."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(refused(HTTPStatus.METHOD_NOT_ALLOWED, "this is not a proxy"))
            return b""
        version = self.parser.get_http_version().encode()
        fields = [b"%s: %s\r\n" % field for field in self.headers if field[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self._unproductive = 0
        return b"%s %s HTTP/%s\r\n%s\r\n%s" % (method, self.url, version, b"".join(fields), rest)

    # -- refusals --------------------------------------------------------------------------------------
    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _too_large(self) -> Refusal:
        if self._begun and len(self.url) > MAX_HEAD // 2:
            return refused(
                HTTPStatus.REQUEST_URI_TOO_LONG,
                f"the URL is too long, a head may have {MAX_HEAD} bytes; {LONG_QUERIES}",
            )
        if self._begun and len(self.headers) > MAX_FIELDS:
            return refused(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"the request has more than {MAX_FIELDS} header fields",
            )
        what = "the head of the request" if self._between else "a part of the body that carries no data"
        return refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"{what} is larger than {MAX_HEAD} bytes")

    def _refuse(self, refusal: Refusal) -> None:
        """End the connection with this answer, after those to the requests before."""
        self._stop_reading()
        self._connections.note(f"with a bad request, answered with {refusal.status}")
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            self._end(refusal if self._between else None)
            return
        if cycle.more_body:  # the mistake is in the body of this request, which must not go on
            cycle.disconnected = True
            cycle.message_event.set()
            if not self.pipeline:
                self._end(None if cycle.response_started else refusal)
                return
            self.pipeline.popleft()
        self._refusal = refusal

    def _stop_reading(self) -> None:
        """From now on what comes is taken from the client and thrown away."""
        self._is_over = True
        self._unfed.clear()

    def _end(self, refusal: Refusal | None) -> None:
        """Write the refusal, unless an answer has begun already, and wait for the client to go."""
        self._refusal = None
        if refusal is not None:
            self._write_refusal(refusal)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self._connections.silent(self, LINGER_S)

    def _write_refusal(self, refusal: Refusal) -> None:
        body = encode_json(refusal.body)
        head = [b"%s: %s\r\n" % header for header in self.server_state.default_headers]
        head += [f"{name.lower()}: {text}\r\n".encode() for name, text in (refusal.headers or {}).items()]
        head.append(b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body))
        self.transport.write(
            STATUS_LINE[refusal.status] + b"".join(head) + b"connection: close\r\n\r\n" + body
        )
        if self._logs_access:
            log_refused(self.client, refusal.status, len(body))


def _refusal(error: httptools.HttpParserError) -> Refusal:
    """The answer to what ended the parser: a limit of ours, or a request that is not HTTP."""
    if isinstance(error.__context__, Refusal):
        return error.__context__
    return refused(HTTPStatus.BAD_REQUEST, f"this is not a request of HTTP/1.1: {error}")
