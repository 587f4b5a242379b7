"""A fair exclusive lock between threads and processes."""

import fcntl
import os
import threading
from collections import deque
from pathlib import Path
from typing import Self

from dp3.files import open_file

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
        self._gate = open_file(path.with_name(path.name + ".gate"), os.O_RDWR | os.O_CREAT)
        try:
            self._lock = open_file(path, os.O_RDWR | os.O_CREAT)
        except OSError:
            os.close(self._gate)
            raise

    def held(self) -> Self:
        """Wait for the lock, hold it for the block (`with lock.held():`). Hold it for at most 50 ms."""
        return self

    def __enter__(self) -> None:
        self._queue.wait()
        try:
            fcntl.flock(self._gate, fcntl.LOCK_EX)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX)
            finally:
                fcntl.flock(self._gate, fcntl.LOCK_UN)
        except BaseException:
            self._queue.pass_on()
            raise

    def __exit__(self, *_: object) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
        finally:
            self._queue.pass_on()

    def close(self) -> None:
        """Give back the files, once nobody in this process holds the lock; it cannot be used again."""
        self._queue.wait()
        try:
            for descriptor in (self._gate, self._lock):
                if descriptor >= 0:
                    os.close(descriptor)
            self._gate = self._lock = -1
        finally:
            self._queue.pass_on()


class _ThreadQueue:
    """A mutex that serves threads in order of arrival (`threading.Lock` does not)."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._owner: int | None = None

    def wait(self) -> None:
        """Return when it is this thread's turn, which lasts until it calls `pass_on`."""
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
        self._owner = threading.get_ident()

    def _give_up(self, ticket: threading.Lock) -> None:
        with self._mutex:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                return
        self.pass_on()

    def pass_on(self) -> None:
        """The next thread's turn, if one waits."""
        with self._mutex:
            if self._waiting:
                self._owner = _HANDED_OVER
                self._waiting.popleft().release()
            else:
                self._owner = None
