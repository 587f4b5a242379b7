"""What came of calling a hook."""

import traceback
from collections.abc import Sequence
from reprlib import Repr
from typing import Literal

import msgspec

from dp3.model.task import DataPointTask

MAX_TRACEBACK_BYTES = 16 * 1024
MAX_REASON_CHARS = 2_000
MAX_REPR_CHARS = 200


class HookError(msgspec.Struct, frozen=True):
    """Why a hook failed (`hook`: it raised) or what is wrong with its result (`result`)."""

    kind: Literal["hook", "result"]
    reason: str
    traceback: str = ""


class HookOutcome(msgspec.Struct, frozen=True):
    """The tasks that a hook produced, none if there is an `error`, and how long it took."""

    tasks: Sequence[DataPointTask]
    error: HookError | None
    duration_ns: int


class AllowOutcome(msgspec.Struct, frozen=True):
    """The decision of an allow hook; a failing hook allows."""

    allowed: bool
    error: HookError | None
    duration_ns: int


def hook_failed(error: BaseException) -> HookError:
    """The failure of a hook, without the frame that called it."""
    trace = error.__traceback__
    inner = trace.tb_next if trace is not None else None
    text = "".join(traceback.format_exception(type(error), error, inner))
    reason = "".join(traceback.format_exception_only(type(error), error)).strip()
    return HookError("hook", _shortened(reason, MAX_REASON_CHARS), _bounded(text, MAX_TRACEBACK_BYTES))


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
