"""Logging of the program's processes."""

import logging
import sys
import threading
from datetime import UTC, datetime
from enum import StrEnum
from types import TracebackType
from typing import Any

import msgspec

FORMAT = "%(asctime)s,%(threadName)s,%(name)s,[%(levelname)s] %(message)s"

NOISY = ("apscheduler", "uvicorn.access", "asyncio")
"""Third-party loggers that are held at WARNING."""


logger = logging.getLogger(__name__)


class LogFormat(StrEnum):
    """`text`: one line an event, with tracebacks below. `json`: one object a line."""

    TEXT = "text"
    JSON = "json"


def set_up_logging(verbose: bool, process: str, log_format: LogFormat = LogFormat.TEXT) -> None:
    """Log to stderr; `process` names the process in every line."""
    handler = logging.StreamHandler(sys.stderr)
    if log_format is LogFormat.JSON:
        handler.setFormatter(JsonFormatter(process))
        logging.captureWarnings(True)
    else:
        handler.setFormatter(logging.Formatter(f"{process} {FORMAT}"))
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


class JsonFormatter(logging.Formatter):
    """Each event as one JSON object in one line: `time` (UTC), `level`, `process`, `thread`, `logger`,
    `message` and, if there is one, `exception` with its traceback."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """The line of an event."""
        event: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname,
            "process": self._process,
            "thread": record.threadName,
            "logger": record.name,
            "message": _encodable(record.getMessage()),
        }
        if exception := _exception(self, record):
            event["exception"] = _encodable(exception)
        return msgspec.json.encode(event).decode()


def _exception(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    text = formatter.formatException(record.exc_info) if record.exc_info else record.exc_text or ""
    return text + (formatter.formatStack(record.stack_info) if record.stack_info else "")


def _encodable(text: str) -> str:
    """Without lone surrogates, which may come from names of files and are not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()
