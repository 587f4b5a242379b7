"""From tasks to the answer: durable before it, with `wait` also applied before it."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from dp3.http.answers import Json, busy, invalid_value
from dp3.log.appender import Appender, AppenderBusy, AppenderClosed
from dp3.log.port import Append, Appended, IdempotencyConflict, Lane, LogFull
from dp3.model.partition import partition_of
from dp3.model.wire import WirePoint, WireTask, encode_tasks
from dp3.store.ports.state import State

ENTRY_POINTS = 4_000
"""A worker commits whole entries: so many data-points take it about 20 ms."""

FIRST_PAUSE_S = 0.002
LONGEST_PAUSE_S = 0.05

T = TypeVar("T")

Idempotency = tuple[str, bytes]
"""Key and digest of the body."""

Groups = Mapping[tuple[str, int | str], list[WirePoint]]
"""Data-points by (entity type, entity id), in order of first appearance."""

OK = {"detail": "OK"}


def tasks_of(groups: Groups) -> list[WireTask]:
    """One task per entity."""
    return [WireTask(etype, eid, points) for (etype, eid), points in groups.items()]


def entries_of(tasks: Iterable[WireTask], partitions: int) -> list[dict[int, bytes]]:
    """The tasks, in order and numbered, as entries of at most `ENTRY_POINTS` data-points; one that is larger
    is split."""
    entries: list[dict[int, bytes]] = []
    current: list[WireTask] = []
    taken = 0
    for task in tasks:
        for part in _parts(task) if len(task.points) > ENTRY_POINTS else (task,):
            width = part.width
            if taken + width > ENTRY_POINTS:
                entries.append(_slices(current, partitions))
                current, taken = [], 0
            part.first = taken
            taken += width
            current.append(part)
    return [*entries, _slices(current, partitions)] if current else entries


def _parts(task: WireTask) -> Iterator[WireTask]:
    for start in range(0, len(task.points), ENTRY_POINTS):
        yield msgspec.structs.replace(task, points=task.points[start : start + ENTRY_POINTS])


def _slices(tasks: Iterable[WireTask], partitions: int) -> dict[int, bytes]:
    """The tasks of one entry, encoded by partition."""
    by_partition: dict[int, list[WireTask]] = {}
    for task in tasks:
        partition = partition_of(task.etype, task.eid, partitions)
        same = by_partition.get(partition)
        if same is None:
            by_partition[partition] = [task]
        else:
            same.append(task)
    return {partition: encode_tasks(same) for partition, same in by_partition.items()}


@dataclass(slots=True)
class Accepted:
    """Counts of what this process has made durable since it started."""

    requests: int = 0
    points: int = 0


class Writer:
    """Appends tasks to the log and answers the request."""

    def __init__(self, appender: Appender, store: State, wait_limit_s: float) -> None:
        self.accepted = Accepted()
        self._appender = appender
        self._store = store
        self._wait_limit_s = wait_limit_s

    async def write(
        self, tasks: Sequence[WireTask], *, wait: bool, idempotency: Idempotency | None = None
    ) -> Response:
        """200 when durable (with `wait`: when applied), 202 when durable but not applied in time.

        Refuses with 503 when the log can not take it and 422 when the idempotency key was used before for
        another body."""
        entries = entries_of(tasks, self._store.partitions)
        appended = None
        if entries or idempotency:
            appended = await self._append(Append(entries or [{}], idempotency))
        self._count(tasks, appended)
        headers = {"Idempotency-Replayed": "true"} if appended and appended.repeated else None
        if not wait:
            return Json(OK, 200, headers)
        touched = {partition for slices in entries for partition in slices}
        check = Applied(self._store, appended.offset if appended else 0, touched)
        applied = bool(await poll(check, self._wait_limit_s))
        return Json(OK | {"applied": applied}, 200 if applied else 202, headers)

    def _count(self, tasks: Sequence[WireTask], appended: Appended | None) -> None:
        if appended is None or not appended.repeated:
            self.accepted.requests += 1
            self.accepted.points += sum(len(task.points) for task in tasks)

    async def _append(self, append: Append) -> Appended:
        try:
            return await self._appender.append(append)
        except IdempotencyConflict:
            raise invalid_value(
                ["header", "Idempotency-Key"],
                f"Idempotency key '{append.idempotency[0] if append.idempotency else ''}' was used "
                "for a request with a different body",
            ) from None
        except LogFull:
            raise busy("the log is full; nothing was stored, send the request again later") from None
        except (AppenderBusy, AppenderClosed) as error:
            raise busy(str(error)) from None


async def poll(check: Callable[[], T | None], limit_s: float) -> T | None:
    """Ask `check` (in a thread) until it does not return None, at most for `limit_s`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit_s
    pause = FIRST_PAUSE_S
    while (found := await run_in_threadpool(check)) is None and loop.time() < deadline:
        await asyncio.sleep(min(pause, max(deadline - loop.time(), 0)))
        pause = min(pause * 1.5, LONGEST_PAUSE_S)
    return found


class Applied:
    """Asks whether an entry of the MAIN lane has been applied in all of its partitions."""

    def __init__(self, store: State, offset: int, partitions: Collection[int]) -> None:
        self._store = store
        self._offset = offset
        self._partitions = partitions
        self._version: int | None = None

    def __call__(self) -> bool | None:
        """True when it has been, None when not yet."""
        version = self._store.changes.version()
        if version == self._version:
            return None
        self._version = version
        reached = {p: offset for p, lane, offset in self._store.batches.positions() if lane == Lane.MAIN}
        return all(reached.get(p, 0) >= self._offset for p in self._partitions) or None
