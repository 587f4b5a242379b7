"""The audit log: who changed what, over HTTP or by a command; written by a thread of its own."""

import json
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from queue import Full, Queue
from typing import Any

from dp3.clock import Clock, to_datetime
from dp3.files import FILE_MODE
from dp3.printable import printable
from dp3.runtime.line_file import LineFiles
from dp3.runtime.places import needed_at_start

MAX_WAITING = 2_000
"""Lines that may wait to be written: 16 MiB at most, as what a request is about is cut."""

MAX_LOST_CHARS = 500
"""Of a line that can not be written, as told in the log of the process."""

Event = dict[str, Any]

logger = logging.getLogger(__name__)


class AuditLog:
    """Appends a line for each change: a JSON object with `time` (UTC), `who`, `address`, `what`, `on`,
    `result`. Never delays or fails a request; a line that can not be written is in the log of the process."""

    def __init__(self, path: Path, clock: Clock, files: LineFiles | None = None) -> None:
        """The file is for the program's user alone; `files` opens it anew at SIGHUP. Raises `OSError` if it
        can not be made or written."""
        self._file = (files or LineFiles()).open(path, FILE_MODE)
        self._clock = clock
        self._closed = False
        self._waiting: Queue[Event | None] = Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._work, name="audit log", daemon=True)
        self._thread.start()

    def note(self, *, who: str, address: str, what: str, on: Mapping[str, str], result: int) -> None:
        """Note a change. `who`: the name of a token, of a user, or another word for what asked; `address`:
        the host it came from; `what`: the kind of change; `on`: what was changed, such as `etype` and `eid`;
        `result`: the HTTP status. Secrets have no place in any of them."""
        time = to_datetime(self._clock.now_us()).isoformat(timespec="microseconds")
        event = {"time": time, "who": who, "address": address, "what": what, "on": dict(on), "result": result}
        if self._closed:
            _lost(event, "the audit log is closed")
            return
        try:
            self._waiting.put_nowait(event)
        except Full:
            _lost(event, f"{MAX_WAITING} lines wait to be written")

    def close(self) -> None:
        """Write what waits and close the file. Otherwise the last lines may be lost when the process ends."""
        self._closed = True
        self._waiting.put(None)
        self._thread.join()
        self._file.close()

    def _work(self) -> None:
        while (event := self._waiting.get()) is not None:
            try:
                self._file.write(f"{_line(event)}\n")
            except OSError as error:
                _lost(event, f"{self._file.path}: {error.strerror}")


@contextmanager
def open_audit_log(path: Path, clock: Clock, files: LineFiles | None = None) -> Iterator[AuditLog]:
    """The audit log for the block, after which all that was noted is in the file. Raises `Unusable`."""
    with needed_at_start():
        audit = AuditLog(path, clock, files)
    try:
        yield audit
    finally:
        audit.close()


def _line(event: Event) -> str:
    return printable(json.dumps(event, ensure_ascii=False))


def _lost(event: Event, why: str) -> None:
    logger.error("not in the audit log (%s): %s", why, _line(event)[:MAX_LOST_CHARS])
