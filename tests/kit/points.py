"""Data-points and tasks as in the log and as hooks return them; times are seconds since `START_US`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dp3.clock import to_us
from dp3.log.port import Entry
from dp3.model.spec import ModelSpec
from dp3.model.task import DataPointTask
from dp3.model.wire import CONFIDENCE_UNIT, WirePoint, WireTask, decode_tasks
from kit.specs import a_type, observed_attr, plain_attr

START_US = 1_600_000_000_000_000
SECOND = 1_000_000
HOUR = 3_600 * SECOND


def config(*plain: str) -> dict[str, Any]:
    """Types `a` and `b`, each with observations `o` and these plain attributes (int)."""
    attribs = {name: plain_attr("int") for name in plain} | {"o": observed_attr("int", {"aggregate": False})}
    return {etype: a_type(etype, attribs) for etype in ("a", "b")}


MODEL = ModelSpec(config("p", "s"))
"""The model that everything is made for unless told otherwise."""


def plain(attr: str, v: Any) -> WirePoint:
    return WirePoint(attr, v)


def obs(v: int, second: int | None = None) -> WirePoint:
    """An observation of `o`, by default at the second that is its value."""
    return seen("o", v, v if second is None else second)


def seen(attr: str, v: Any, first: float = 0, last: float | None = None, c: float = 1.0) -> WirePoint:
    """An observation that holds from one second to another."""
    t1, t2 = (START_US + round(at * SECOND) for at in (first, first if last is None else last))
    return WirePoint(attr, v, t1, t2, round(c * CONFIDENCE_UNIT))


def task(eid: Any, *points: WirePoint, etype: str = "a", **more: Any) -> WireTask:
    return WireTask(etype, eid, list(points), **more)


def delete(eid: Any, etype: str = "a") -> WireTask:
    return task(eid, etype=etype, delete=True)


def derived(eid: Any, attr: str, v: Any, etype: str = "a", model: ModelSpec = MODEL) -> DataPointTask:
    """A task with one plain value, as a hook returns it."""
    return derived_point(model, {"etype": etype, "eid": eid, "attr": attr, "v": v})


def derived_point(model: ModelSpec, point: Mapping[str, Any]) -> DataPointTask:
    """A task with one data-point, as a hook returns it."""
    etype, eid = point["etype"], point["eid"]
    return DataPointTask(model_spec=model, etype=etype, eid=eid, data_points=[dict(point)])


def tasks_in(*entries: Entry) -> list[WireTask]:
    """All tasks of log entries."""
    return [one for entry in entries for part in entry.slices.values() for one in decode_tasks(part)]


def seconds(moment: datetime) -> int:
    """Seconds since the start of the tests."""
    return (to_us(moment) - START_US) // SECOND
