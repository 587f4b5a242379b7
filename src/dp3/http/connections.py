"""The open connections of an API process: how many there may be, and how long each may keep it waiting."""

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from dp3.http.intake import BODY_LIMIT_S, SILENCE_LIMIT_S, SLOWEST_BYTES_PER_S

HEAD_S = 10.0
"""The head of a request must be complete so long after the connection was opened or its first byte came."""

CLOSING_S = 30.0
"""A connection that is being closed, and whose client has read everything, is cut after so long."""

MOST_UNREAD = 128 << 20
"""Bytes of answers that wait until clients read them. One answer may be larger, all together not."""

LOOK_EVERY_S = 1.0
TELL_EVERY_S = 10.0
"""What was closed or refused is told in one line, at most so often."""

logger = logging.getLogger(__name__)


class Connection(Protocol):
    """One connection, as the registry sees it."""

    @property
    def unread_bytes(self) -> int:
        """Bytes of answers that the client has not taken yet."""
        ...

    @property
    def is_closing(self) -> bool:
        """True if nothing more is done on it but to deliver what is unread."""
        ...

    def time_out(self) -> None:
        """Called when the time that `Connections.silent` gave is over; again until it is closed."""
        ...

    def has_read(self) -> None:
        """Called when the client has taken everything that was unread."""
        ...

    def drop(self) -> None:
        """Cut it at once."""
        ...


@dataclass(slots=True)
class _Unread:
    """An answer that a client reads slowly: bytes left, since when no byte less, when it must be over."""

    size: int
    since: float
    end: float


class Connections:
    """All connections of a process, with those in which the process waits for the client.

    At `limit` connections a new one takes the place of the one that has been silent longest, else of the
    one whose body is coming longest, else of the one whose answer is unread longest. Only when all of them
    are being worked for it is refused. Used in one event loop.
    """

    def __init__(self, limit: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._monotonic = monotonic
        self._all: set[Connection] = set()
        # In the order in which they began to wait, so the first one has waited longest.
        self._silent: dict[Connection, float] = {}
        self._receiving: dict[Connection, None] = {}
        self._unread: dict[Connection, _Unread] = {}
        self._events: Counter[str] = Counter()
        self._looked_at = self._told_at = float("-inf")

    @property
    def room(self) -> int:
        """Connections that can be opened without closing others."""
        return self.limit - len(self._all)

    # -- told by connections ---------------------------------------------------------------------------
    def opened(self, connection: Connection) -> bool:
        """Called first; False if there is no room for it."""
        if len(self._all) >= self.limit and not self._make_room():
            self.note(f"refused, {self.limit} are being worked for")
            return False
        self._all.add(connection)
        self.silent(connection, HEAD_S)
        return True

    def closed(self, connection: Connection) -> None:
        """Called last."""
        self._all.discard(connection)
        self._silent.pop(connection, None)
        self._receiving.pop(connection, None)
        self._unread.pop(connection, None)

    def silent(self, connection: Connection, limit_s: float) -> None:
        """From now on it waits for something from the client, at most `limit_s`."""
        self._silent.pop(connection, None)
        self._silent[connection] = self._monotonic() + limit_s

    def working(self, connection: Connection) -> None:
        """The head of a request is complete."""
        self._silent.pop(connection, None)

    def receiving(self, connection: Connection, is_so: bool) -> None:
        """The body of a request in work is still coming if `is_so`, else no longer."""
        self._receiving.pop(connection, None)
        if is_so:
            self._receiving[connection] = None

    def unread(self, connection: Connection) -> None:
        """The client does not take its answer as fast as it could be sent."""
        now, size = self._monotonic(), connection.unread_bytes
        if connection not in self._unread:
            end = now + BODY_LIMIT_S + size / SLOWEST_BYTES_PER_S
            self._unread[connection] = _Unread(size, now, end)
        while len(self._unread) > 1 and sum(each.size for each in self._unread.values()) > MOST_UNREAD:
            slowest = min(self._unread, key=lambda each: self._unread[each].since)
            self._drop(slowest, "cut, too much of answers was unread")

    def read(self, connection: Connection) -> None:
        """The client takes its answer again."""
        self._unread.pop(connection, None)

    def note(self, what: str) -> None:
        """Something to be told in the log, soon and once for many."""
        self._events[what] += 1

    # -- told by the server ----------------------------------------------------------------------------
    def look(self) -> None:
        """Called some times a second: ends what takes too long, tells what happened."""
        now = self._monotonic()
        self._look_at_readers(now)
        if now - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = now
        self._look_at_closing()
        for connection in [each for each, end in self._silent.items() if end <= now]:
            self.silent(connection, CLOSING_S)
            connection.time_out()
        if self._events and now - self._told_at >= TELL_EVERY_S:
            self._told_at = now
            told = "; ".join(f"{count} {what}" for what, count in self._events.items())
            logger.warning("connections: %s", told)
            self._events.clear()

    def drop_silent(self) -> None:
        """Cut those that send nothing: the process ends."""
        for connection in list(self._silent):
            if not connection.unread_bytes:
                self.closed(connection)
                connection.drop()

    def _look_at_readers(self, now: float) -> None:
        for connection, seen in list(self._unread.items()):
            size = connection.unread_bytes
            if size == 0:
                self._unread.pop(connection, None)
                connection.has_read()
                continue
            if size < seen.size:
                seen.since = now
            seen.size = size
            if now - seen.since > SILENCE_LIMIT_S or now > seen.end:
                self._drop(connection, "cut, the answer was not read in time")

    def _look_at_closing(self) -> None:
        for connection in self._all - self._silent.keys() - self._unread.keys():
            if connection.is_closing and connection.unread_bytes:
                self.unread(connection)
            elif connection.is_closing:
                self.silent(connection, CLOSING_S)

    def _make_room(self) -> bool:
        for waiting, why in (
            (self._silent, "silent longest"),
            (self._receiving, "with the oldest unfinished body"),
            (self._unread, "with the oldest unread answer"),
        ):
            for oldest in waiting:
                self._drop(oldest, f"cut to make room ({why}), the limit is {self.limit}")
                return True
        return False

    def _drop(self, connection: Connection, why: str) -> None:
        self.note(why)
        self.closed(connection)
        connection.drop()
