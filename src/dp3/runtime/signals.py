"""Signals: stopping by signal, by the death of the supervisor, and in bounded time; hang-ups, which end
nothing."""

import faulthandler
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

PARENT_FD_ENV = "DP3_PARENT_FD"
"""Names a pipe whose other end the supervisor holds: its end of file means that the supervisor is gone."""

FAILED_BY_ITSELF_ENV = "DP3_FAILED_BY_ITSELF"
"""Set by a supervisor if the process in whose place this one is was not ended from outside."""

STOP_LIMIT_S = 60.0

logger = logging.getLogger(__name__)


def on_stop_signal(stop: Callable[[], object]) -> None:
    """Call `stop` at the first SIGINT or SIGTERM; the second one ends the process at once, unless a
    supervisor has started it: who stops all processes of a unit signals this one, as the supervisor does.

    A thread calls it: the handler itself interrupts the main thread anywhere, also where that holds a lock
    that `stop` needs, such as the one inside the event that it sets.
    """
    read_end, write_end = os.pipe()
    supervised = is_supervised()
    seen = False

    def handle(number: int, _frame: object) -> None:
        nonlocal seen
        if seen:
            if supervised:
                return
            os._exit(128 + number)
        seen = True
        os.write(write_end, b"!")

    def wait() -> None:
        os.read(read_end, 1)
        stop()

    threading.Thread(target=wait, name="signals", daemon=True).start()
    signal.signal(signal.SIGINT, handle)
    signal.signal(signal.SIGTERM, handle)


def on_hang_up(call: Callable[[], object]) -> None:
    """Call `call` in a thread at each SIGHUP, which does not end the process any more; one that came while
    the signal was blocked counts, see `hang_ups_wait`."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)

    def handle(_number: int, _frame: object) -> None:
        with suppress(BlockingIOError):  # so many wait that one more makes no difference
            os.write(write_end, b"!")

    def wait() -> None:
        while os.read(read_end, 1024):
            call()

    threading.Thread(target=wait, name="hang-ups", daemon=True).start()
    signal.signal(signal.SIGHUP, handle)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


@contextmanager
def hang_ups_wait() -> Iterator[None]:
    """A process that is started in the block keeps a SIGHUP, which would end it, for its `on_hang_up`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def is_supervised() -> bool:
    """True if a supervisor has started this process. To be asked before `on_parent_death` is called."""
    return PARENT_FD_ENV in os.environ


def predecessor_failed_by_itself() -> bool:
    """True if the supervisor knows that the process in whose place this one is was not ended from outside."""
    return os.environ.pop(FAILED_BY_ITSELF_ENV, "") != ""


def on_parent_death(stop: Callable[[], None]) -> bool:
    """Call `stop` when the supervisor that started this process is gone. False: it was started by hand."""
    inherited = os.environ.pop(PARENT_FD_ENV, None)
    if inherited is None:
        return False

    def watch(fd: int) -> None:
        while os.read(fd, 1):
            pass
        logger.warning("the supervisor is gone; stopping")
        stop()

    threading.Thread(target=watch, args=(int(inherited),), name="parent", daemon=True).start()
    return True


def limit_stop(limit_s: float = STOP_LIMIT_S) -> threading.Timer:
    """End the process with status 1 if it still lives after `limit_s`; cancel the timer when it is done."""

    def give_up() -> None:
        logger.critical("not stopped after %.0f s; stacks of all threads follow", limit_s)
        faulthandler.dump_traceback(file=sys.stderr)
        os._exit(1)

    timer = threading.Timer(limit_s, give_up)
    timer.daemon = True
    timer.start()
    return timer


def stop_event() -> tuple[threading.Event, bool]:
    """An event that is set at a stop signal or when the supervisor is gone, after which the process ends
    within `STOP_LIMIT_S`; True if a supervisor has started it."""
    stop = threading.Event()

    def request_stop() -> None:
        stop.set()
        limit_stop()

    on_stop_signal(request_stop)
    return stop, on_parent_death(request_stop)
