"""Logs of accepted and of rejected data-points, for people; written by a thread of its own."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from dp3.clock import Clock, to_datetime
from dp3.http.answers import Error
from dp3.model.wire import CONFIDENCE_UNIT, WirePoint, WireTask
from dp3.printable import printable

MAX_WAITING = 100_000
"""Records that may wait to be written; what exceeds that is counted and left out."""

logger = logging.getLogger(__name__)

Records = Callable[[], Iterable[dict[str, Any]]]


class DatapointLog:
    """Appends one line per record to a file: time, client address in brackets, ` | `, the record as Python
    dict text. Never delays or fails a request."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._file = path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1 << 16)
        self._clock = clock
        self._waiting: deque[tuple[str, int, Records]] = deque()
        self._count = 0
        self._left_out = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name=f"log {path.name}", daemon=True)
        self._thread.start()

    def accepted(self, client: str, tasks: list[WireTask]) -> None:
        """Log all data-points of a request."""
        self._put(client, sum(len(task.points) for task in tasks), lambda: _internal_records(tasks))

    def rejected(self, client: str, errors: list[Error]) -> None:
        """Log all errors of a request."""
        self._put(client, len(errors), lambda: errors)

    def close(self) -> None:
        """Write what waits and close the file."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        self._file.close()

    def _put(self, client: str, count: int, records: Records) -> None:
        if not count:
            return
        prefix = f"{to_datetime(self._clock.now_us()):%Y-%m-%d %H:%M:%S.%f} [{printable(client)}] | "
        with self._changed:
            if self._count and self._count + count > MAX_WAITING:
                self._left_out += count
                return
            self._count += count
            self._waiting.append((prefix, count, records))
            self._changed.notify()

    def _work(self) -> None:
        while lines := self._next():
            try:
                self._file.writelines(lines)
                self._file.flush()
            except OSError as error:
                logger.error("%s: %d records are lost: %s", self._file.name, len(lines), error)

    def _next(self) -> list[str]:
        """The lines of one request; none when closed and all is written."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return []
            prefix, count, records = self._waiting.popleft()
            self._count -= count
            left_out, self._left_out = self._left_out, 0
        lines = [f"{prefix}{record}\n" for record in records()]
        if left_out:
            lines.append(f"{prefix}{left_out} further records were left out: they came too fast\n")
        return lines


def _internal_records(tasks: Iterable[WireTask]) -> Iterator[dict[str, Any]]:
    return (_internal_record(task, point) for task in tasks for point in task.points)


def _internal_record(task: WireTask, point: WirePoint) -> dict[str, Any]:
    return {
        "etype": task.etype,
        "eid": task.eid,
        "attr": point.attr,
        "src": point.src,
        "v": point.v,
        "c": None if point.c is None else point.c / CONFIDENCE_UNIT,
        "t1": None if point.t1 is None else str(to_datetime(point.t1)),
        "t2": None if point.t2 is None else str(to_datetime(point.t2)),
    }
