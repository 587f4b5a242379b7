"""Request bodies of writing routes: how much may come in, and reading it."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from starlette.types import Message, Receive, Scope

from dp3.http.answers import Disconnected, busy, refused
from dp3.http.exchange import HERE
from dp3.http.pieces import SMALL_BODY, Sent
from dp3.http.pools import Once, Pools
from dp3.reads.backlog import Backlog

BACKLOG_AGE_S = 0.1
"""The backlog is measured at most this often, beside the requests that come meanwhile."""

BACKLOG_TRUST_S = 1.0
"""A request waits for a measurement when the latest one is older: none has come for a while."""

SILENCE_LIMIT_S = 30.0
"""A client that sends nothing of its body for so long is given up."""

BODY_LIMIT_S = 60.0
SLOWEST_BYTES_PER_S = 16 << 10
"""A body may take so many seconds, and one more for so many bytes that have come: far below any line that is
in use, and a bound for those who send drop by drop."""


LARGE_AT_ONCE, SMALL_AT_ONCE = 1, 2
"""Bodies that are decoded at the same time, above and up to `SMALL_BODY`. Decoding holds the interpreter's
lock: more at a time take more memory and are no faster."""

T = TypeVar("T")


class Bodies:
    """Limits on bodies: the size of one, and of all in memory. `advice` is said when one is too large.

    Used in one event loop."""

    def __init__(self, max_body: int, max_in_flight: int, advice: str) -> None:
        self._max_body = max_body
        self._max_in_flight = max_in_flight
        self._advice = advice
        self._in_flight = 0

    @contextmanager
    def body(self, scope: Scope) -> Iterator["Body"]:
        """A body to be read; its bytes count as in flight until the block ends."""
        body = Body(self, scope)
        try:
            yield body
        finally:
            body.release()
            self._in_flight -= body.reserved

    def check_size(self, size: int) -> None:
        """Refuse a body that is too large."""
        if size > self._max_body:
            raise refused(413, f"the body is larger than {self._max_body} bytes; {self._advice}")

    def reserve(self, total: int, more: int) -> None:
        """Refuse a body that has grown to `total` bytes, by `more`, if a limit is exceeded."""
        self.check_size(total)
        if self._in_flight + more > self._max_in_flight:
            raise busy("too many requests are being read at once; send the request again later")
        self._in_flight += more


class Intake(Bodies):
    """Limits on what comes in to be written: that of bodies, how many of them are decoded at once, and the
    backlog."""

    def __init__(
        self, backlog: Backlog, pools: Pools, *, max_body: int, max_in_flight: int, max_backlog: int
    ) -> None:
        super().__init__(max_body, max_in_flight, "send it in parts")
        self._backlog = backlog
        self._pools = pools
        self._max_backlog = max_backlog
        self._unprocessed = 0
        self._measured_at = float("-inf")
        self._measurement = Once(self._measure)
        self._large, self._small = asyncio.Semaphore(LARGE_AT_ONCE), asyncio.Semaphore(SMALL_AT_ONCE)

    async def admit(self) -> None:
        """Refuse with 503 while the workers are too far behind."""
        age_s = time.monotonic() - self._measured_at
        if age_s > BACKLOG_TRUST_S:
            await self._measurement()
        elif age_s > BACKLOG_AGE_S:
            self._measurement.begin()
        if self._unprocessed > self._max_backlog:
            raise busy(
                f"{self._unprocessed} bytes wait to be processed, the limit is {self._max_backlog}; "
                "send the request again later"
            )

    async def _measure(self) -> None:
        begun = time.monotonic()
        self._unprocessed = await self._pools.state.run(self._backlog.unprocessed_bytes)
        self._measured_at = begun

    def turn(self, body: Sent) -> asyncio.Semaphore:
        """To be held while the decoded form of a body is in memory, unless it is decoded in the event loop at
        once; the first to come is the first to go."""
        return self._large if len(body) > SMALL_BODY else self._small

    async def in_thread(self, work: Callable[..., T], *args: object) -> T:
        """Do some work off the event loop: for holders of turns, of whom there are as many as threads, and
        for digests of large bodies, which take no turn."""
        return await self._pools.writing.run(work, *args)

    async def decode(self, work: Callable[..., T], body: Sent, *args: object) -> T:
        """Have `work(body, ...)` decode a body when it is its turn."""
        async with self.turn(body):
            return await self.in_thread(work, body, *args)


class Body:
    """One request body."""

    def __init__(self, bodies: Bodies, scope: Scope) -> None:
        self._bodies = bodies
        self._headers: dict[bytes, bytes] = dict(scope["headers"])
        self._is_here: Callable[[], bool] = scope.get("extensions", {}).get(HERE, _is_unknown)
        self.reserved = 0
        self._received: Sent = b""

    async def read(self, receive: Receive) -> Sent:
        """All of it. Refuses encodings (415), what exceeds a limit (413, 503) as early as it is known, and
        clients that stop sending (408); raises `Disconnected`."""
        encoding = self._headers.get(b"content-encoding", b"identity").strip().lower()
        if encoding not in (b"", b"identity"):
            raise refused(
                415, "compressed bodies are not supported; send the request without Content-Encoding"
            )
        self._bodies.check_size(_declared_length(self._headers))
        received: Sent = b""
        size = 0
        start = time.monotonic()
        while True:
            if self._is_here():
                message = await receive()
            else:
                message = await _receive(receive, start + BODY_LIMIT_S + size / SLOWEST_BYTES_PER_S)
            if message["type"] == "http.disconnect":
                raise Disconnected
            chunk = message.get("body", b"")
            size += len(chunk)
            self._bodies.reserve(size, len(chunk))
            self.reserved = size
            if not received:
                received = chunk
            elif isinstance(received, bytes):
                received = bytearray(received) + chunk
            else:
                received += chunk  # grows in place: there are never two copies of a large body
            if not message.get("more_body", False):
                self._received = received
                return received

    def release(self) -> None:
        """Free the memory of a large body, though the frames of an exception may still know it."""
        if isinstance(self._received, bytearray):
            with suppress(BufferError):
                self._received.clear()


def _is_unknown() -> bool:
    """What counts with a server that does not tell whether a request has come: it is waited for."""
    return False


async def _receive(receive: Receive, end: float) -> Message:
    """The next part of a body that has to be complete at `end` (of the monotonic clock)."""
    left_s = end - time.monotonic()
    if left_s > 0:
        with suppress(TimeoutError):
            async with asyncio.timeout(min(SILENCE_LIMIT_S, left_s)):
                return await receive()
    if left_s < SILENCE_LIMIT_S:
        raise refused(408, "the body comes too slowly; send it faster or in parts")
    raise refused(408, f"nothing of the body came for {SILENCE_LIMIT_S:g} s")


def _declared_length(headers: dict[bytes, bytes]) -> int:
    text = headers.get(b"content-length", b"0")
    return int(text) if text.isdigit() else 0
