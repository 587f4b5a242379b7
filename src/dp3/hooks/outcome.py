"""The outcome of calling a hook: its result in one form, or its failure."""

import traceback
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from reprlib import Repr
from typing import Any, Literal

import msgspec
from pydantic import BaseModel

from dp3.model.task import DataPointTask

MAX_TRACEBACK_BYTES = 16 * 1024
MAX_REASON_CHARS = 2_000
MAX_REPR_CHARS = 200

_NOT_COLLECTIONS = (str, bytes, bytearray, Mapping, BaseModel)


class HookError(msgspec.Struct, frozen=True):
    """Why a hook failed (`hook`: it raised) or what is wrong with its result (`result`)."""

    kind: Literal["hook", "result"]
    reason: str
    traceback: str = ""


class HookOutcome(msgspec.Struct, frozen=True):
    """The result of one call: tasks, none if there is an `error`, or of an allow hook the decision; how long
    it took. An allow hook that fails allows."""

    tasks: Sequence[DataPointTask]
    error: HookError | None
    duration_ns: int
    allowed: bool | None = None


def hook_failed(error: BaseException) -> HookError:
    """The failure of a hook, without the frame that called it."""
    trace = error.__traceback__
    inner = trace.tb_next if trace is not None else None
    text = "".join(traceback.format_exception(type(error), error, inner))
    reason = "".join(traceback.format_exception_only(type(error), error)).strip()
    return HookError("hook", _shortened(reason, MAX_REASON_CHARS), _bounded(text, MAX_TRACEBACK_BYTES))


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


def bounded_repr(value: object) -> str:
    """`repr` cut to 200 characters; looks at a bounded part of built-in containers and survives a `__repr__`
    that raises."""
    short = Repr()
    short.maxstring = short.maxother = MAX_REPR_CHARS
    return _shortened(short.repr(value), MAX_REPR_CHARS)


def _shortened(text: str, chars: int) -> str:
    return text if len(text) <= chars else text[: chars - 1] + "…"


def _bounded(text: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8; the middle goes, because both ends of a traceback tell the most."""
    encoded = text.encode("utf-8", "backslashreplace")
    if len(encoded) <= limit:
        return encoded.decode()
    cut = b"\n...\n"
    head = limit // 4
    tail = limit - head - len(cut)
    return (encoded[:head] + cut + encoded[-tail:]).decode("utf-8", "ignore")
