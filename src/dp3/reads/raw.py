"""Listing raw data-points: a bounded scan of the log, newest first."""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from heapq import merge
from typing import Any

from dp3.log.port import Entry, Lane, Log
from dp3.model.partition import partition_of
from dp3.model.wire import Undecodable, WireTask, decode_slice, raw_row
from dp3.store.ports.batches import Batches

READ_BYTES = 1 << 20
SCAN_BYTES = 64 << 20
SCAN_S = 1.0


@dataclass(frozen=True, slots=True)
class RawQuery:
    """The data-points that are wanted; None does not filter. `limit` 0 is as many as the scan finds."""

    etype: str
    eid: int | str | None = None
    attr: str | None = None
    src: str | None = None
    skip: int = 0
    limit: int = 20


@dataclass(slots=True)
class _Budget:
    """The limits of one scan, and how many entries it could not read."""

    bytes_left: int
    deadline: float
    exceeded: bool = field(default=False)
    damaged: int = 0

    def spend(self, size: int) -> bool:
        """Count an entry of this size; tells whether the scan may go on."""
        self.bytes_left -= size
        self.exceeded = self.bytes_left < 0 or time.monotonic() > self.deadline
        return not self.exceeded


class RawPoints:
    """Data-points in the log. One scan reads about `max_bytes` at most."""

    def __init__(self, log: Log, batches: Batches, partitions: int, *, max_bytes: int = SCAN_BYTES) -> None:
        self._log = log
        self._batches = batches
        self._partitions = partitions
        self._max_bytes = max_bytes

    def find(self, query: RawQuery) -> dict[str, Any]:
        """`{"count", "data"}` in order of append, newest first; with `"truncated": true` when the scan had to
        stop before it was through, and `"damaged"`, the number of entries that it could not read, if any.
        Tasks that an allow hook refused are not listed."""
        budget = _Budget(self._max_bytes, time.monotonic() + SCAN_S)
        data: list[dict[str, Any]] = []
        skip = query.skip
        for row in self._rows(query, budget):
            if skip:
                skip -= 1
                continue
            data.append(row)
            if len(data) == query.limit:
                break
        answer: dict[str, Any] = {"count": len(data), "data": data}
        if budget.damaged:
            answer["damaged"] = budget.damaged
        return answer | {"truncated": True} if budget.exceeded else answer

    def _rows(self, query: RawQuery, budget: _Budget) -> Iterator[dict[str, Any]]:
        partition = None if query.eid is None else partition_of(query.etype, query.eid, self._partitions)
        lanes = (self._entries(lane) for lane in Lane)
        for entry, refused in merge(*lanes, key=lambda found: found[0].order, reverse=True):
            budget.damaged += bool(entry.damage)
            for task in _tasks(entry, partition):
                if (entry.offset, task.first) not in refused:
                    yield from _task_rows(task, query)
            if not budget.spend(entry.size):
                return

    def _entries(self, lane: Lane) -> Iterator[tuple[Entry, set[tuple[int, int]]]]:
        """Entries of a lane, newest first, each with the refused tasks of its neighbourhood."""
        before: int | None = None
        while entries := self._log.read_back(lane, before, READ_BYTES):
            before = entries[-1].offset
            refused = self._batches.refused_between(lane, before, entries[0].offset)
            for entry in entries:
                yield entry, refused


def _tasks(entry: Entry, partition: int | None) -> list[WireTask]:
    """Tasks of an entry (of one partition if given), last one first; what is damaged is left out."""
    wanted = entry.slices if partition is None else entry.slices.keys() & {partition}
    tasks: list[WireTask] = []
    for found in wanted:
        with suppress(Undecodable):
            tasks += decode_slice(entry.slices[found])
    tasks.sort(key=lambda task: task.first, reverse=True)
    return tasks


def _task_rows(task: WireTask, query: RawQuery) -> Iterator[dict[str, Any]]:
    if task.etype != query.etype or (query.eid is not None and task.eid != query.eid):
        return
    for point in reversed(task.points):
        if query.attr in (None, point.attr) and query.src in (None, point.src):
            yield raw_row(task, point)
