"""From tasks to the answer: durable before it, with `wait` also applied before it."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import msgspec
from starlette.responses import Response

from dp3.files import DamagedFile
from dp3.http.answers import Answer, busy, invalid_value, refused
from dp3.http.changes import StateChanges
from dp3.log.appender import Appender, AppenderBusy, AppenderClosed
from dp3.log.port import Append, Appended, IdempotencyConflict, Lane, LogFull, LogUnavailable, LogUncertain
from dp3.model.partition import partition_of
from dp3.model.wire import WirePoint, WireTask, encode_tasks
from dp3.store.ports.state import State

ENTRY_POINTS = 4_000
"""A worker commits whole entries: so many data-points take it about 20 ms."""

BYTES_AT_ONCE = 1 << 20
"""Of JSON become tasks at once: 10 000 usual data-points. What follows in a request makes tasks of its own,
so that neither this process nor a worker has all data-points of a large request in memory."""

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


class Encoded(NamedTuple):
    """A request as it goes to the log: its entries, and how many data-points are in them."""

    entries: Sequence[Mapping[int, bytes]]
    points: int


def encode(groups: Iterable[Groups], partitions: int, largest: int) -> Encoded:
    """Data-points as they go to the log. Refuses with 413 what has more than `largest` bytes there."""
    entries: list[dict[int, bytes]] = []
    points = size = 0
    for some in groups:
        for entry in entries_of(tasks_of(some), partitions):
            size += sum(map(len, entry.values()))
            entries.append(entry)
        if size > largest:
            raise refused(413, f"the data-points take more than {largest} bytes; send them in parts")
        points += sum(map(len, some.values()))
    return Encoded(entries, points)


@dataclass(slots=True)
class Accepted:
    """Counts of what this process has made durable since it started."""

    requests: int = 0
    points: int = 0


class Writer:
    """Appends tasks to the log and answers the request."""

    def __init__(self, appender: Appender, store: State, changes: StateChanges, wait_limit_s: float) -> None:
        self.accepted = Accepted()
        self._appender = appender
        self._partitions = store.partitions
        self._reached = Reached(store)
        self._changes = changes
        self._wait_limit_s = wait_limit_s

    async def write(self, tasks: Sequence[WireTask], *, wait: bool) -> Response:
        """`append` and `answer`."""
        encoded = Encoded(entries_of(tasks, self._partitions), sum(len(task.points) for task in tasks))
        return await self.answer(encoded, await self.append(encoded), wait=wait)

    async def append(self, encoded: Encoded, idempotency: Idempotency | None = None) -> Appended | None:
        """Return when the request is durable; None if there was nothing to append.

        Refuses with 503 when the log can not take it and 422 when the idempotency key was used before for
        another body."""
        appended = None
        if encoded.entries or idempotency:
            appended = await self._append(Append(encoded.entries or [{}], idempotency))
        if appended is None or not appended.repeated:
            self.accepted.requests += 1
            self.accepted.points += encoded.points
        return appended

    async def answer(self, encoded: Encoded, appended: Appended | None, *, wait: bool) -> Response:
        """200 to what was appended; with `wait` when it has been applied, or 202 when that takes too long."""
        headers = {"Idempotency-Replayed": "true"} if appended and appended.repeated else None
        if not wait:
            return Answer(OK, 200, headers)
        touched = {partition for slices in encoded.entries for partition in slices}
        check = partial(self._reached.passed, appended.offset if appended else 0, touched)
        applied = bool(await self._changes.until(check, self._wait_limit_s))
        return Answer(OK | {"applied": applied}, 200 if applied else 202, headers)

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
        except LogUnavailable as error:
            raise busy(f"{error}; send the request again later") from None
        except LogUncertain as error:
            raise busy(f"{error}; send the request again with the same Idempotency-Key") from None
        except DamagedFile as error:
            raise busy(f"{error}; nothing was stored, send the request again later") from None
        except (AppenderBusy, AppenderClosed) as error:
            raise busy(str(error)) from None


class Reached:
    """The part of the MAIN lane that has been applied, read once after each change of the state.

    For one thread at a time."""

    def __init__(self, store: State) -> None:
        self._store = store
        self._version: int | None = None
        self._offsets: dict[int, int] = {}

    def passed(self, offset: int, partitions: Collection[int]) -> bool | None:
        """True when all of these partitions have passed an offset, None when not yet."""
        version = self._store.changes.version()
        if version != self._version:
            positions = self._store.batches.positions()
            self._offsets = {partition: at for partition, lane, at in positions if lane == Lane.MAIN}
            self._version = version
        return all(self._offsets.get(partition, 0) >= offset for partition in partitions) or None
