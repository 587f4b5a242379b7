"""The threads in which an API process answers: for each kind of work its own, a few, with a bounded queue.

So no number of requests of one kind keeps those of another waiting, and readers never starve writers. The
event loop only receives, hands over and sends: it and the thread that appends to the log share the
interpreter with `THREADS` others at most, however many clients there are.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from random import uniform
from typing import Any, Generic, ParamSpec, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from dp3.hooks.pool import DaemonPool
from dp3.http.answers import Disconnected, busy

PATIENCE_S = 5.0
"""A request waits so long for a thread."""

REFUSAL_S = 1.0, 5.0
"""When as many wait as may, a request is refused after a time between these. Who is refused at once asks at
once again: three hundred such clients keep the event loop busy. With one time for all they come together."""

STATE_THREADS = 3
"""One for each of those that look at the state for many others: the backlog, readiness, waiting requests."""

WRITING_THREADS = 3
"""As many as bodies may be decoded at once (`dp3.http.intake`)."""

WRITING_WAITING = 200
OPERATING_THREADS = 2
OPERATING_WAITING = 50
READING_THREADS = 4
READING_WAITING = 200

QUERY_THREADS = 2
"""Each computes most of its time, so that more would only take longer, and others with them."""

QUERIES_WAITING = 50
"""Each holds a filter of up to a few MiB meanwhile."""

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

Answer = Callable[..., Response]
Endpoint = Callable[..., Awaitable[Response]]


class Pool:
    """At most `threads` calls at once; at most `waiting` others wait for their turn, each `PATIENCE_S`, first
    come, first served. `what` these are is said to those that are refused.

    Used in one event loop."""

    def __init__(self, what: str, name: str, threads: int, waiting: int) -> None:
        self._what = what
        self._threads = DaemonPool(threads, name)
        self._free = asyncio.Semaphore(threads)
        self._max_waiting = waiting
        self._waiting = 0

    @property
    def is_occupied(self) -> bool:
        """True if no thread is free."""
        return self._free.locked()

    @property
    def waiting(self) -> int:
        """The number of calls that wait for a thread."""
        return self._waiting

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `call(*args, **kwargs)` in a thread. Refuses with 503 when there is none in time."""
        await self._turn()
        return await self._run(partial(call, *args, **kwargs))

    async def answer(self, request: Request, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same for a client that may go away while it waits: then the thread is for the next one.
        Raises `Disconnected`."""
        if await self._turn():
            try:
                gone = await request.is_disconnected()
            except BaseException:
                self._free.release()
                raise
            if gone:
                self._free.release()
                raise Disconnected
        return await self._run(partial(call, *args, **kwargs))

    def serves(self, answer: Answer) -> Endpoint:
        """The endpoint of a route whose answer this pool gives: a decorator below that of the router."""

        async def endpoint(request: Request, **values: Any) -> Response:
            return await self.answer(request, partial(answer, **values))

        # The framework reads from the signature what to pass, and describes the route by name and docstring.
        own = inspect.signature(answer)
        asker = inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY, annotation=Request)
        parameters = [*own.parameters.values(), asker]
        endpoint.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        endpoint.__name__, endpoint.__doc__ = answer.__name__, answer.__doc__
        return endpoint

    def close(self) -> None:
        """Take no more calls; those under way end by themselves."""
        self._threads.shutdown(wait=False)

    async def _turn(self) -> bool:
        """Return when a thread is free, which is then taken; tells whether that took time."""
        if not self.is_occupied:
            await self._free.acquire()
            return False
        if self._waiting >= self._max_waiting:
            await asyncio.sleep(uniform(*REFUSAL_S))
            raise self._busy()
        self._waiting += 1
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._free.acquire()
            return True
        except TimeoutError:
            raise self._busy() from None
        finally:
            self._waiting -= 1

    async def _run(self, call: Callable[[], T]) -> T:
        try:
            result = asyncio.get_running_loop().run_in_executor(self._threads, call)
        except BaseException:
            self._free.release()
            raise
        # The thread is busy until the call ends, also when nobody waits for that any more.
        result.add_done_callback(lambda _: self._free.release())
        return await asyncio.shield(result)

    def _busy(self) -> Exception:
        return busy(f"too many {self._what} at once; send the request again later")


class Pools:
    """The pools of an API process."""

    def __init__(self) -> None:
        self.state = Pool("looks at the state", "state", STATE_THREADS, STATE_THREADS)
        """Short reads on which writers and health checks depend. Each of its users asks for one at a time
        (`Once`), so none ever waits."""
        self.writing = Pool("changes", "writing", WRITING_THREADS, WRITING_WAITING)
        """Checks of what is to be written: whatever takes long there is off the event loop."""
        self.operating = Pool("questions of operators", "operating", OPERATING_THREADS, OPERATING_WAITING)
        """Control, dead letters, telemetry and metrics: they answer however busy readers keep the rest."""
        self.reading = Pool("reads", "reading", READING_THREADS, READING_WAITING)
        """Reads of one entity."""
        self.queries = Pool("queries", "queries", QUERY_THREADS, QUERIES_WAITING)
        """What looks at many entities, or through the log."""

    def close(self) -> None:
        """Take no more calls."""
        for pool in (self.state, self.writing, self.operating, self.reading, self.queries):
            pool.close()


class Once(Generic[T]):
    """Calls a coroutine function for all who ask at the same time: who asks during a call gets its result."""

    def __init__(self, call: Callable[[], Awaitable[T]]) -> None:
        self._call = call
        self._running: asyncio.Future[T] | None = None

    def begin(self) -> "asyncio.Future[T]":
        """The call that is under way, or a new one. Await it shielded: it is not for one alone."""
        if self._running is None or self._running.done():
            self._running = asyncio.ensure_future(self._call())
            self._running.add_done_callback(_log_failure)
        return self._running

    async def __call__(self) -> T:
        return await asyncio.shield(self.begin())


def _log_failure(ended: asyncio.Future[Any]) -> None:
    """Also of a call for which nobody waits."""
    if not ended.cancelled() and (error := ended.exception()) is not None:
        logger.warning("%s: %s", type(error).__name__, error)
