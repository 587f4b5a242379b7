"""What hooks return, brought into one form."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from pydantic import BaseModel

from dp3.hooks.outcome import HookError, bounded_repr
from dp3.model.task import DataPointTask

_NOT_COLLECTIONS = (str, bytes, bytearray, Mapping, BaseModel)


def tasks_of(result: Any, max_tasks: int) -> tuple[Sequence[DataPointTask], HookError | None]:
    """The tasks in what a hook returned (None or an iterable): all of them, or none and what was wrong.

    A part of a result would take effect again when the hook is called again. Looks at no more than
    `max_tasks` items and one beyond them. Whatever iterating raises is raised.
    """
    if type(result) is not list and not _is_collection(result):
        return (), _mistake(f"returned {_a(result)}; expected None or a list of DataPointTask objects")
    items = list(islice(result, max_tasks + 1))
    if len(items) > max_tasks:
        return (), _mistake(f"returned more than {max_tasks} tasks; none was kept")
    bad = [index for index, item in enumerate(items) if not isinstance(item, DataPointTask)]
    if bad:
        what = f"{len(bad)} of {len(items)} returned items are no DataPointTask, none was kept"
        return (), _mistake(f"{what}: item {bad[0]} is {_a(items[bad[0]])}")
    return items, None


def _is_collection(result: Any) -> bool:
    return isinstance(result, Iterable) and not isinstance(result, _NOT_COLLECTIONS)


def _mistake(reason: str) -> HookError:
    return HookError("result", reason)


def _a(value: object) -> str:
    return f"a value of type {type(value).__qualname__}: {bounded_repr(value)}"
