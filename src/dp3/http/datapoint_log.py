"""Logs of accepted and of rejected data-points, for people; written by a thread of its own."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple

from dp3.clock import Clock, to_datetime
from dp3.common.utils import batched
from dp3.http.answers import Error
from dp3.http.writing import Encoded
from dp3.model.canonical import encode_json
from dp3.model.wire import CONFIDENCE_UNIT, WirePoint, WireTask, decode_tasks
from dp3.printable import printable
from dp3.runtime.line_file import LineFile

MAX_WAITING, MAX_WAITING_BYTES = 100_000, 32 << 20
"""Records that may wait to be written, and their size, about; what exceeds that is counted and left out."""

LINES_AT_ONCE = 1_000

logger = logging.getLogger(__name__)

Records = Callable[[], Iterable[dict[str, Any]]]


class _Waiting(NamedTuple):
    """The records of one request: how many, and how large, about."""

    prefix: str
    points: int
    size: int
    records: Records


class DatapointLog:
    """Appends one line per record to a file, which it closes in the end: `2026-01-01 12:00:00,123 (ADDRESS)`,
    which are the time (UTC) and the client, ` | `, and the record as Python dict text. Never delays or fails
    a request."""

    def __init__(self, file: LineFile, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        self._waiting: deque[_Waiting] = deque()
        self._count = self._size = 0
        self._left_out = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name=f"log {file.path.name}", daemon=True)
        self._thread.start()

    def accepted(self, client: str, encoded: Encoded) -> None:
        """Log all data-points of a request. They are decoded again when it is their turn."""
        size = sum(len(tasks) for entry in encoded.entries for tasks in entry.values())
        self._put(client, encoded.points, size, lambda: _internal_records(encoded))

    def rejected(self, client: str, errors: list[Error]) -> None:
        """Log all errors of a request."""
        self._put(client, len(errors), len(encode_json(errors)), lambda: errors)

    def close(self) -> None:
        """Write what waits and close the file."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        self._file.close()

    def _put(self, client: str, count: int, size: int, records: Records) -> None:
        if not count:
            return
        now = to_datetime(self._clock.now_us())
        millisecond = now.microsecond // 1000
        prefix = f"{now:%Y-%m-%d %H:%M:%S},{millisecond:03} ({printable(client)}) | "
        with self._changed:
            is_too_much = self._count + count > MAX_WAITING or self._size + size > MAX_WAITING_BYTES
            if self._count and is_too_much:
                self._left_out += count
                return
            self._count += count
            self._size += size
            self._waiting.append(_Waiting(prefix, count, size, records))
            self._changed.notify()

    def _work(self) -> None:
        while (taken := self._next()) is not None:
            waiting, left_out = taken
            try:
                for lines in batched(_lines(waiting, left_out), LINES_AT_ONCE):
                    self._file.write("".join(lines))
            except OSError as error:
                logger.error(
                    "%s: up to %d records are lost: %s", self._file.path, waiting.points, error.strerror
                )

    def _next(self) -> tuple[_Waiting, int] | None:
        """The records of one request, and how many were left out before; None when closed and all is
        written."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return None
            waiting = self._waiting.popleft()
            self._count -= waiting.points
            self._size -= waiting.size
            left_out, self._left_out = self._left_out, 0
        return waiting, left_out


def _lines(waiting: _Waiting, left_out: int) -> Iterator[str]:
    for record in waiting.records():
        yield f"{waiting.prefix}{record}\n"
    if left_out:
        yield f"{waiting.prefix}{left_out} further records were left out: they came too fast\n"


def _internal_records(encoded: Encoded) -> Iterator[dict[str, Any]]:
    """The data-points, entry by entry as they were sent."""
    for entry in encoded.entries:
        tasks = sorted(chain.from_iterable(map(decode_tasks, entry.values())), key=lambda task: task.first)
        yield from (_internal_record(task, point) for task in tasks for point in task.points)


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
