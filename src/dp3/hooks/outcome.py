"""The outcome of calling a hook: its result in one form, or its failure."""

import os
import traceback
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from reprlib import Repr
from types import TracebackType
from typing import Any, Literal

import msgspec
from pydantic import BaseModel

from dp3.model.task import DataPointTask

MAX_TRACEBACK_BYTES = 16 * 1024
MAX_REASON_CHARS = 2_000
MAX_REPR_CHARS = 200
MAX_SUMMARY_CHARS = 300

_PLATFORM = f"{Path(__file__).parent.parent}{os.sep}"
"""The beginning of the names of the platform's own files."""

_NOT_COLLECTIONS = (str, bytes, bytearray, Mapping, BaseModel)


class HookError(msgspec.Struct, frozen=True):
    """The failure of a hook (`hook`: it raised) or a fault in its result (`result`), with the reason.

    `without_values` is the reason without what a hook returned, where that is in it. `at` is the place in the
    application's code where it happened, `FILE:LINE`, empty if it is not known."""

    kind: Literal["hook", "result"]
    reason: str
    traceback: str = ""
    without_values: str = ""
    at: str = ""

    @property
    def summary(self) -> str:
        """The reason in short and in one line, as logs may show it."""
        text = self.without_values or self.reason
        return _shortened(" ".join(text.split()), MAX_SUMMARY_CHARS)


class HookOutcome(msgspec.Struct, frozen=True):
    """The result of one call: tasks, none if there is an `error`, or of an allow hook the decision; how long
    it took. An allow hook that fails allows."""

    tasks: Sequence[DataPointTask]
    error: HookError | None
    duration_ns: int
    allowed: bool | None = None


def hook_failed(error: BaseException, application: Path | None = None) -> HookError:
    """The failure of a hook, without the frame that called it. `application` is the folder of the modules."""
    trace = error.__traceback__
    inner = trace.tb_next if trace is not None else None
    text = "".join(traceback.format_exception(type(error), error, inner))
    reason = "".join(traceback.format_exception_only(type(error), error)).strip()
    place = own_place(trace, application) or _outer_place(trace)
    return HookError(
        kind="hook",
        reason=_shortened(reason, MAX_REASON_CHARS),
        traceback=_bounded(text, MAX_TRACEBACK_BYTES),
        at="" if place is None else f"{place[0]}:{place[1]}",
    )


def own_place(trace: TracebackType | None, application: Path | None) -> tuple[str, int] | None:
    """File and line of the innermost call in files of the application; None if there is none."""
    folder, found = f"{application}{os.sep}", None
    while trace is not None and application is not None:
        if trace.tb_frame.f_code.co_filename.startswith(folder):
            found = (trace.tb_frame.f_code.co_filename, trace.tb_lineno)
        trace = trace.tb_next
    return found


def _outer_place(trace: TracebackType | None) -> tuple[str, int] | None:
    """File and line where the platform called a hook that is in no file of the application."""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith(_PLATFORM):
            return file, trace.tb_lineno
        trace = trace.tb_next
    return None


def tasks_of(result: Any, max_tasks: int) -> tuple[Sequence[DataPointTask], HookError | None]:
    """The tasks in what a hook returned (None or an iterable): all of them, or none and what was wrong.

    A part of a result would take effect again when the hook is called again. Looks at no more than
    `max_tasks` items and one beyond them. Whatever iterating raises is raised.
    """
    if type(result) is not list and not _is_collection(result):
        expected = "expected None or a list of DataPointTask objects"
        return (), _mistake(f"returned {_a(result)}; {expected}", f"returned {_type(result)}; {expected}")
    items = list(islice(result, max_tasks + 1))
    if len(items) > max_tasks:
        return (), _mistake(f"returned more than {max_tasks} tasks; none was kept")
    bad = [index for index, item in enumerate(items) if not isinstance(item, DataPointTask)]
    if bad:
        what = f"{len(bad)} of {len(items)} returned items are no DataPointTask, none was kept"
        item = items[bad[0]]
        return (), _mistake(f"{what}: item {bad[0]} is {_a(item)}", f"{what}: item {bad[0]} is {_type(item)}")
    return items, None


def _is_collection(result: Any) -> bool:
    return isinstance(result, Iterable) and not isinstance(result, _NOT_COLLECTIONS)


def _mistake(reason: str, without_values: str = "") -> HookError:
    return HookError("result", reason, without_values=without_values)


def _a(value: object) -> str:
    return f"{_type(value)}: {bounded_repr(value)}"


def _type(value: object) -> str:
    return f"a value of type {_shortened(type(value).__qualname__, MAX_REPR_CHARS)}"


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
