"""Data-points as `POST /datapoints` takes them."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

SOURCE = "demo/watch"

Point = dict[str, Any]


class Interval(NamedTuple):
    """The time between two looks at the machine (aware date-times)."""

    t1: datetime
    t2: datetime

    @property
    def seconds(self) -> float:
        """Its length in seconds; 0 at the first look."""
        return (self.t2 - self.t1).total_seconds()


def plain(etype: str, eid: str, attr: str, value: Any) -> Point:
    """A value without history."""
    return {"type": etype, "id": eid, "attr": attr, "v": value, "src": SOURCE}


def seen(etype: str, eid: str, attr: str, value: Any, during: Interval, confidence: float = 1.0) -> Point:
    """A value that held during an interval."""
    times = {"t1": during.t1, "t2": during.t2, "c": confidence}
    return plain(etype, eid, attr, value) | times


def series(etype: str, eid: str, attr: str, values: dict[str, list[Any]], during: Interval) -> Point:
    """A piece of a timeseries."""
    return plain(etype, eid, attr, values) | {"t1": during.t1, "t2": during.t2}


class Once:
    """Remembers for which entities the facts that never change were sent; forgets when it knows too many."""

    def __init__(self, limit: int = 10_000) -> None:
        self._known: set[str] = set()
        self._limit = limit

    def of(self, eid: str, make: Callable[[], list[Point]]) -> list[Point]:
        """`make()` the first time, nothing afterwards."""
        if eid in self._known:
            return []
        if len(self._known) >= self._limit:
            self._known.clear()
        self._known.add(eid)
        return make()
