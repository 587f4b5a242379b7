"""Raw data-points: the form in which they are listed and archived."""

from collections.abc import Iterator
from typing import Any

from dp3.clock import to_datetime
from dp3.model.wire import CONFIDENCE_UNIT, WirePoint, WireTask


def raw_row(task: WireTask, point: WirePoint) -> dict[str, Any]:
    """One data-point as data-points are sent to the API; what it does not have is None."""
    return {
        "attr": point.attr,
        "src": point.src,
        "v": point.v,
        "c": None if point.c is None else point.c / CONFIDENCE_UNIT,
        "t1": None if point.t1 is None else to_datetime(point.t1),
        "t2": None if point.t2 is None else to_datetime(point.t2),
        "type": task.etype,
        "id": task.eid,
    }


def raw_rows(task: WireTask) -> Iterator[dict[str, Any]]:
    """All data-points of a task, in their order."""
    return (raw_row(task, point) for point in task.points)
