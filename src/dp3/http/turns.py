"""Turns of the event loop: in which order requests of all connections begin."""

import asyncio
from collections import deque
from collections.abc import Callable

STARTS = 32
"""Requests that begin in one turn of the loop, about 10 ms of work. Connections are accepted and read between
turns, so that a new request waits for its turn with the others instead of behind all of them."""

PIPELINED_STARTS = 4
"""Pipelined requests that begin in each turn, however many others wait."""

Begin = Callable[[], None]


class Turns:
    """Begins requests in the order in which they came; pipelined ones, which waited for an answer to the
    request before them on their connection, when no other waits. Used in one event loop."""

    def __init__(self) -> None:
        self._fresh: deque[Begin] = deque()
        self._pipelined: deque[Begin] = deque()
        self._left = STARTS
        self._is_counting = False
        """True if something began since the latest turn, or waits for the next one."""

    def begin(self, begin: Begin) -> None:
        """Have a request begin in this turn, or as soon as it is its turn."""
        self._count()
        if self._left and not self._fresh:
            self._left -= 1
            begin()
        else:
            self._fresh.append(begin)

    def begin_pipelined(self, begin: Begin) -> None:
        """The same for a request that is not the first one that waits on its connection."""
        self._count()
        self._pipelined.append(begin)

    def _count(self) -> None:
        if not self._is_counting:
            self._is_counting = True
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        """A new turn."""
        self._is_counting = False
        self._left = STARTS
        self._take(self._pipelined, PIPELINED_STARTS)
        self._take(self._fresh, STARTS)
        self._take(self._pipelined, STARTS)
        if self._left < STARTS:
            self._count()

    def _take(self, waiting: deque[Begin], most: int) -> None:
        for _ in range(min(most, self._left, len(waiting))):
            self._left -= 1
            waiting.popleft()()
