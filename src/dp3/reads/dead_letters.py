"""Dead letters, with the tasks and data-points in them."""

from collections.abc import Mapping
from typing import Any

from dp3.clock import to_datetime
from dp3.model.wire import CONFIDENCE_UNIT, WirePoint, WireTask, decode_tasks
from dp3.store.ports.dead_letters import DeadLetter, LetterGroup
from dp3.store.ports.dead_letters import DeadLetters as DeadLetterPort

Record = dict[str, Any]


class DeadLetters:
    """Dead letters as records."""

    def __init__(self, dead_letters: DeadLetterPort) -> None:
        self._dead_letters = dead_letters

    def page(
        self, after: int, limit: int, filters: Mapping[str, str], *, newest_first: bool = False
    ) -> list[Record]:
        """The first `limit` ones, in order of their ids or the newest first, that come after an id; `filters`
        are those of the port."""
        found = self._dead_letters.page(after, limit, filters, newest_first=newest_first)
        return [describe(*each) for each in found]

    def summary(self, limit: int, filters: Mapping[str, str]) -> Record:
        """The number of all dead letters, the number that pass the filters, and these by hook and reason."""
        groups = self._dead_letters.groups(limit, filters)
        return {
            "total": self._dead_letters.count(),
            "count": self._dead_letters.count(filters),
            "groups": [_group(group) for group in groups],
        }

    def find(self, id_: int) -> DeadLetter | None:
        """The one with this id."""
        return self._dead_letters.get(id_) if 0 < id_ < 1 << 63 else None

    def count(self) -> int:
        """The number of all dead letters."""
        return self._dead_letters.count()


def _group(group: LetterGroup) -> Record:
    record = {**group._asdict(), "first": to_datetime(group.first), "last": to_datetime(group.last)}
    return {"count": record.pop("letters"), **record}


def describe(id_: int, letter: DeadLetter) -> Record:
    """A dead letter as a record."""
    tasks = decode_tasks(letter.task) if letter.task else []
    return {
        "id": id_,
        **letter._asdict(),
        "time": to_datetime(letter.time),
        "task": _task(tasks[0]) if tasks else None,
    }


def _task(task: WireTask) -> Record:
    ttl = {name: to_datetime(expiry) for name, expiry in (task.ttl_tokens or {}).items()}
    return {
        "etype": task.etype,
        "eid": task.eid,
        "data_points": [_point(point) for point in task.points],
        "ttl_tokens": ttl,
        "delete": task.delete,
        "tags": task.tags,
        "generation": task.generation,
    }


def _point(point: WirePoint) -> Record:
    return {
        "attr": point.attr,
        "v": point.v,
        "t1": None if point.t1 is None else to_datetime(point.t1),
        "t2": None if point.t2 is None else to_datetime(point.t2),
        "c": None if point.c is None else point.c / CONFIDENCE_UNIT,
        "src": point.src,
    }
