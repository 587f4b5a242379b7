"""Tells the log which hooks and callbacks fail: at once, and then not for every failure."""

import logging
import time
from collections.abc import Callable
from inspect import unwrap
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any

from dp3.hooks.outcome import HookError, hook_failed
from dp3.hooks.table import Hook
from dp3.hooks.watch import Entity, entity_name
from dp3.printable import further_lines
from dp3.repetitions import Repetitions, so_often

logger = logging.getLogger(__name__)


class FailureLog:
    """A line in the log for the 1st, 10th, 100th, … failure of a hook with the same exception at one place
    in its module, and for the next one when the last line is an hour old. Any threads may use it.

    `application` is the folder of the modules, `now_s` a clock that never goes back.
    """

    def __init__(self, application: Path | None = None, now_s: Callable[[], float] = time.monotonic) -> None:
        self._application = application
        self._repetitions = Repetitions(now_s)

    def hook_failed(self, raised: BaseException) -> HookError:
        """The error for what a hook has raised."""
        return hook_failed(raised, self._application)

    def hook(self, hook: Hook | None, entity: Entity, error: HookError) -> None:
        """A hook has failed, None if it is not known which one; `entity` is that which it was called for."""
        names = ("", "a hook of a snapshot run", "") if hook is None else (hook.module, hook.name, hook.kind)
        if times := self._repetitions.due((*names, *_cause(error))):
            at = error.at or ("" if hook is None else _definition(hook.call))
            logger.warning(
                "%s failed%s%s%s: %s",
                names[1] if hook is None else "module {}: hook {} ({})".format(*names),
                so_often(times),
                f" for {name}" if (name := entity_name(entity)) else "",
                f" at {at}" if at else "",
                error.summary,
            )

    def callback(self, name: str, raised: BaseException) -> None:
        """A scheduled callback has raised: nothing but the log will tell of it, so its traceback is shown."""
        error = self.hook_failed(raised)
        if times := self._repetitions.due(("", name, "", *_cause(error))):
            at = f" at {error.at}" if error.at else ""
            text = "Scheduled callback %s failed%s%s: %s; it stays scheduled"
            below = further_lines(error.traceback)
            logger.warning(text, name, so_often(times), at, error.summary, extra=below)

    def task(self, entity: Entity, reason: str) -> None:
        """A task can not be applied. What follows a colon in the reason may be a value."""
        reason = reason.partition(":")[0]
        if times := self._repetitions.due(("", "", "", "", reason)):
            name = entity_name(entity)
            logger.warning("a task was set aside%s for %s: %s", so_often(times), name, reason)


def _cause(error: HookError) -> tuple[str, str]:
    """The place and the type of an exception; bad results of one hook are one cause."""
    return (error.at, error.summary.partition(":")[0]) if error.kind == "hook" else ("", "")


def _definition(call: Callable[..., Any]) -> str:
    """`FILE:LINE` where a function or method is defined, below its decorators; empty for other objects."""
    if not isinstance(call, FunctionType | MethodType):
        return ""
    code = getattr(unwrap(call), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else ""
