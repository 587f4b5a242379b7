"""Logging of the program's processes; stacks of all threads when SIGUSR1 asks for them."""

import faulthandler
import fcntl
import logging
import os
import re
import select
import signal
import sys
import threading
from datetime import UTC, datetime
from enum import StrEnum
from types import TracebackType
from typing import Any

import msgspec

from dp3.printable import FURTHER_LINES, further_lines, printable, printable_lines
from dp3.runtime.line_file import LineFile

FORMAT = "%(asctime)s,%(threadName)s,%(name)s,[%(levelname)s] %(message)s"

NOISY = ("apscheduler", "uvicorn.access", "uvicorn.error", "asyncio")
"""Third-party loggers that are held at WARNING."""


logger = logging.getLogger(__name__)


class LogFormat(StrEnum):
    """`text`: one line an event, with tracebacks below. `json`: one object a line."""

    TEXT = "text"
    JSON = "json"


def set_up_logging(
    verbose: bool, process: str, log_format: LogFormat = LogFormat.TEXT, file: LineFile | None = None
) -> None:
    """Log to `file`, or to stderr without one; `process` names the process in every line."""
    handler = logging.StreamHandler(sys.stderr) if file is None else LineFileHandler(file)
    if log_format is LogFormat.JSON:
        handler.setFormatter(JsonFormatter(process))
        logging.captureWarnings(True)
    else:
        handler.setFormatter(TextFormatter(f"{process} {FORMAT}"))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler], force=True)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    sys.excepthook = _log_end_of_process
    threading.excepthook = _log_end_of_thread


def _log_end_of_process(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    logger.critical("the process ends, an exception was not handled", exc_info=(kind, error, traceback))


def _log_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    """Threads of modules included. `SystemExit` is how a thread may end itself."""
    if ended.exc_value is None or ended.exc_type is SystemExit:
        return
    name = ended.thread.name if ended.thread else "unknown"
    reason = (ended.exc_type, ended.exc_value, ended.exc_traceback)
    logger.error("thread %s has ended, an exception was not handled", name, exc_info=reason)


class LineFileHandler(logging.Handler):
    """Appends each event to a file, in one piece. One that is refused goes to stderr, with the reason."""

    def __init__(self, file: LineFile) -> None:
        super().__init__()
        self._file = file

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        try:
            self._write(f"{self.format(record)}\n")
        except Exception:
            self.handleError(record)

    def _write(self, lines: str) -> None:
        try:
            self._file.write(lines)
        except OSError as error:
            sys.stderr.write(f"{self._file.path}: {error.strerror}\n{lines}")


BELOW = "  "
"""What is below the line of an event begins with this, so no text of it looks like another event."""


class TextFormatter(logging.Formatter):
    """Each event as one line. Below it, indented, what has lines itself: further lines, exception, stack.

    Control characters, which may come from outside, are escaped, newlines of the message among them."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of an event, and those below it."""
        record.message = record.getMessage().rstrip("\n")
        record.asctime = self.formatTime(record, self.datefmt)
        lines = [printable(self.formatMessage(record))]
        for text in (_further_lines(record), _exception(self, record)):
            if text:
                lines.append(printable_lines(text.rstrip("\n"), BELOW))
        return "\n".join(lines)


class JsonFormatter(logging.Formatter):
    """Each event as one JSON object in one line: `time` (UTC), `level`, `process`, `thread`, `logger`,
    `message` and, if there is one, `exception` with its traceback."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """The line of an event."""
        lines = _further_lines(record)
        event: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname,
            "process": self._process,
            "thread": record.threadName,
            "logger": record.name,
            "message": _encodable(record.getMessage() + (f"\n{lines}" if lines else "")),
        }
        if exception := _exception(self, record):
            event["exception"] = _encodable(exception)
        return printable(msgspec.json.encode(event).decode())


def _further_lines(record: logging.LogRecord) -> str:
    lines: str = getattr(record, FURTHER_LINES, "")
    return lines


def _exception(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    text = formatter.formatException(record.exc_info) if record.exc_info else record.exc_text or ""
    stack = formatter.formatStack(record.stack_info) if record.stack_info else ""
    return "\n".join(filter(None, (text, stack)))


def _encodable(text: str) -> str:
    """Without lone surrogates, which may come from names of files and are not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


PIPE_BYTES = 1 << 20
"""Room for the stacks of some hundred threads; what does not fit is left out."""

SILENCE_S = 0.1
"""A dump is complete when nothing came for so long."""

_THREAD = re.compile(r"(?:Current thread|Thread) 0x([0-9a-f]+)")


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
    """Make the pipe larger, where the system can and allows it."""
    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except (AttributeError, OSError):
        logger.debug("the pipe for stacks keeps its size")


def _log_dumps(pipe: int) -> None:
    while True:
        stacks = _named(_read_dump(pipe))
        logger.warning("stacks of all threads, asked for by SIGUSR1:", extra=further_lines(stacks))


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
