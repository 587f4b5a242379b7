"""A fair exclusive lock between threads and processes."""

import fcntl
import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_HANDED_OVER = -1
"""The owner between being woken and running; no thread has this number."""


class FairLock:
    """Exclusive among all threads of all processes that use the same `path`, and nobody starves.

    Two files are locked as a turnstile: whoever waits for the lock holds the *gate*, so the holder, when
    it comes back, has to queue behind. Threads of one process queue in order of arrival before that, and
    a process has one thread at the gate at a time, so processes share alike whatever their number of threads.

    The kernel releases the lock when the process dies. Make a new object after a fork. Not re-entrant.
    """

    def __init__(self, path: Path) -> None:
        """`path` and a sibling with the suffix `.gate` are made if missing; they stay empty."""
        self._queue = _ThreadQueue()
        self._gate = _open(path.with_name(path.name + ".gate"))
        try:
            self._lock = _open(path)
        except OSError:
            os.close(self._gate)
            raise

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait for the lock, hold it for the block. Hold it for at most 50 ms."""
        with self._queue.turn():
            fcntl.flock(self._gate, fcntl.LOCK_EX)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX)
            finally:
                fcntl.flock(self._gate, fcntl.LOCK_UN)
            try:
                yield
            finally:
                fcntl.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give back the files, once nobody in this process holds the lock; it cannot be used again."""
        with self._queue.turn():
            for descriptor in (self._gate, self._lock):
                if descriptor >= 0:
                    os.close(descriptor)
            self._gate = self._lock = -1


class _ThreadQueue:
    """A mutex that serves threads in order of arrival (`threading.Lock` does not)."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._owner: int | None = None

    @contextmanager
    def turn(self) -> Iterator[None]:
        self._wait()
        self._owner = threading.get_ident()
        try:
            yield
        finally:
            self._pass_on()

    def _wait(self) -> None:
        with self._mutex:
            if self._owner is None:
                self._owner = threading.get_ident()
                return
            if self._owner == threading.get_ident():
                raise RuntimeError("this thread holds the lock already; a FairLock is not re-entrant")
            ticket = threading.Lock()
            ticket.acquire()
            self._waiting.append(ticket)
        try:
            ticket.acquire()
        except BaseException:
            self._give_up(ticket)
            raise

    def _give_up(self, ticket: threading.Lock) -> None:
        with self._mutex:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                return
        self._pass_on()

    def _pass_on(self) -> None:
        with self._mutex:
            if self._waiting:
                self._owner = _HANDED_OVER
                self._waiting.popleft().release()
            else:
                self._owner = None


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
