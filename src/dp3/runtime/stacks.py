"""Where all threads of a process are, told in its log when SIGUSR1 asks for it."""

import faulthandler
import fcntl
import logging
import os
import re
import select
import signal
import threading

PIPE_BYTES = 1 << 20
"""Room for the stacks of some hundred threads; what does not fit is left out."""

SILENCE_S = 0.1
"""A dump is complete when nothing came for so long."""

_THREAD = re.compile(r"(?:Current thread|Thread) 0x([0-9a-f]+)")

logger = logging.getLogger(__name__)


def log_stacks_on_signal() -> None:
    """From now on SIGUSR1 makes the process log the stacks of all its threads.

    They are written by a handler that needs neither the interpreter's lock nor the main thread, so it works
    whatever these do; a thread brings them to the log as soon as Python code can run.
    """
    read_end, write_end = os.pipe()
    _enlarge(write_end)
    # Whoever has the signal may hold the interpreter's lock, without which nobody reads: it must not wait.
    os.set_blocking(write_end, False)
    faulthandler.register(signal.SIGUSR1, file=write_end, all_threads=True)
    threading.Thread(target=_log_dumps, args=(read_end,), name="stacks", daemon=True).start()


def _enlarge(pipe: int) -> None:
    """Where the system has no such call or does not allow so much, its own size has to do."""
    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except (AttributeError, OSError):
        logger.debug("the pipe for stacks keeps its size")


def _log_dumps(pipe: int) -> None:
    while True:
        logger.warning("stacks of all threads, asked for by SIGUSR1:\n%s", _named(_read_dump(pipe)))


def _read_dump(pipe: int) -> str:
    """One dump; returns when it is complete."""
    dump = os.read(pipe, PIPE_BYTES)
    while select.select([pipe], [], [], SILENCE_S)[0]:
        dump += os.read(pipe, PIPE_BYTES)
    return dump.decode(errors="replace")


def _named(dump: str) -> str:
    """The dump with the names of threads that still live."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return _THREAD.sub(lambda found: f"Thread {names.get(int(found[1], 16), found[1])}", dump)
