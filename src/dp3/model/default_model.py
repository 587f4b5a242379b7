"""Which model a task is built with when none is passed."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dp3.model.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class TaskContext:
    """What tasks are validated with."""

    model_spec: "ModelSpec"
    allow_empty: bool = False


class _ProcessDefault:
    """The model of this process.

    The one piece of process state of the package: tasks may be built anywhere, also in threads that a module
    started itself, which inherit no context variables.
    """

    __slots__ = ("context",)

    def __init__(self) -> None:
        self.context: TaskContext | None = None


_process_default = _ProcessDefault()
_current: ContextVar[TaskContext] = ContextVar("dp3_task_context")


def set_default_model(model_spec: "ModelSpec | None") -> None:
    """Make `model_spec` the model of every task built in this process without another (None: no model).

    Called once, by the program that starts the platform; see `task_context` for a limited scope.
    """
    _process_default.context = None if model_spec is None else TaskContext(model_spec)


@contextmanager
def task_context(model_spec: "ModelSpec", *, allow_empty_data_point_task: bool = False) -> Iterator[None]:
    """Build tasks inside with `model_spec`; the flag permits tasks that contain nothing."""
    token = _current.set(TaskContext(model_spec, allow_empty_data_point_task))
    try:
        yield
    finally:
        _current.reset(token)


def current_task_context() -> TaskContext | None:
    """The innermost `task_context`, else the process's default, else None."""
    return _current.get(_process_default.context)
