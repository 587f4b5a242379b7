"""From tasks to the answer: one log entry, durable before the answer, optionally applied before it."""

from collections.abc import Iterable, Mapping

from starlette.responses import Response

from dp3.engine.appender import Appender, AppenderBusy, AppenderClosed
from dp3.http.answers import Json, busy, invalid_value
from dp3.http.waiting import Applied, poll
from dp3.log.port import Append, Appended, IdempotencyConflict, LogFull
from dp3.model.partition import partition_of
from dp3.model.wire import WirePoint, WireTask, encode_tasks
from dp3.store.port import Store

Idempotency = tuple[str, bytes]
"""Key and digest of the body."""

Groups = Mapping[tuple[str, int | str], list[WirePoint]]
"""Data-points by (entity type, entity id), in order of first appearance."""

OK = {"detail": "OK"}


def tasks_of(groups: Groups) -> list[WireTask]:
    """One task per entity."""
    return [WireTask(etype, eid, points) for (etype, eid), points in groups.items()]


def slices_of(tasks: Iterable[WireTask], partitions: int) -> dict[int, bytes]:
    """The tasks of one entry, numbered in order, encoded by partition."""
    by_partition: dict[int, list[WireTask]] = {}
    number = 0
    for task in tasks:
        task.first = number
        number += task.width
        partition = partition_of(task.etype, task.eid, partitions)
        same = by_partition.get(partition)
        if same is None:
            by_partition[partition] = [task]
        else:
            same.append(task)
    return {partition: encode_tasks(same) for partition, same in by_partition.items()}


class Writer:
    """Appends tasks to the log and answers the request."""

    def __init__(self, appender: Appender, store: Store, wait_limit_s: float) -> None:
        self._appender = appender
        self._store = store
        self._wait_limit_s = wait_limit_s

    async def write(
        self, tasks: Iterable[WireTask], *, wait: bool, idempotency: Idempotency | None = None
    ) -> Response:
        """200 when durable (with `wait`: when applied), 202 when durable but not applied in time.

        Refuses with 503 when the log can not take it and 422 when the idempotency key was used before for
        another body."""
        slices = slices_of(tasks, self._store.partitions)
        appended = None
        if slices or idempotency:
            appended = await self._append(Append(slices, idempotency))
        headers = {"Idempotency-Replayed": "true"} if appended and appended.repeated else None
        if not wait:
            return Json(OK, 200, headers)
        check = Applied(self._store, appended.offset if appended else 0, slices.keys())
        applied = bool(await poll(check, self._wait_limit_s))
        return Json(OK | {"applied": applied}, 200 if applied else 202, headers)

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
