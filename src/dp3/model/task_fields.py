"""The arguments of a task, and the model that they are validated with."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
    model_validator,
)

from dp3.model.canonical import json_value
from dp3.model.datapoint import DataPointBase
from dp3.model.durations import AwareDatetime
from dp3.model.errors import did_you_mean, shown
from dp3.model.mac import MACAddress
from dp3.model.primitives import Text
from dp3.model.spec import ModelSpec

_NO_MODEL = (
    "Missing `model_spec` in context: pass `model_spec=…`, build the task inside "
    "`with task_context(model_spec):`, or call `set_default_model(model_spec)` once at start"
)


@dataclass(frozen=True, slots=True)
class TaskContext:
    """The context in which tasks are validated."""

    model_spec: ModelSpec
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


def set_default_model(model_spec: ModelSpec | None) -> None:
    """Make `model_spec` the model of every task built in this process without another (None: no model).

    Called once, by the program that starts the platform; see `task_context` for a limited scope.
    """
    _process_default.context = None if model_spec is None else TaskContext(model_spec)


@contextmanager
def task_context(model_spec: ModelSpec, *, allow_empty_data_point_task: bool = False) -> Iterator[None]:
    """Build tasks inside with `model_spec`; the flag permits tasks that contain nothing."""
    token = _current.set(TaskContext(model_spec, allow_empty_data_point_task))
    try:
        yield
    finally:
        _current.reset(token)


def current_task_context() -> TaskContext | None:
    """The innermost `task_context`, else the process's default, else None."""
    return _current.get(_process_default.context)


def _context(info: ValidationInfo) -> TaskContext:
    context = info.context
    if not isinstance(context, TaskContext):
        raise ValueError(_NO_MODEL)
    return context


def _known_etype(etype: str, info: ValidationInfo) -> str:
    entities = _context(info).model_spec.entities
    if etype not in entities:
        raise ValueError(f"Invalid etype '{etype}'{did_you_mean(etype, entities)}")
    return etype


def _typed_eid(eid: Any, info: ValidationInfo) -> Any:
    etype = info.data.get("etype")
    return _context(info).model_spec.entities[etype].validate_eid(eid) if etype is not None else eid


def _data_point(value: Any, info: ValidationInfo) -> Any:
    if "etype" not in info.data or "eid" not in info.data:
        return value
    dp = _as_object(value, _context(info).model_spec)
    _require_same("etype", info.data["etype"], dp.etype)
    _require_same("eid", info.data["eid"], dp.eid)
    return dp


def _as_object(value: Any, model: ModelSpec) -> DataPointBase:
    if isinstance(value, DataPointBase):
        cls = _dp_model(model, value.etype, value.attr)
        return value if isinstance(value, cls) else cls.model_validate(_as_input(value))
    if not isinstance(value, Mapping):
        raise ValueError(f"Data-point must be an object or a dictionary, got {shown(value)}")
    missing = [key for key in ("etype", "attr") if key not in value]
    if missing:
        raise ValueError(f"Data-point has no {' and no '.join(map(repr, missing))}, got the keys {[*value]}")
    return _dp_model(model, value["etype"], value["attr"]).model_validate(value)


def _as_input(dp: DataPointBase) -> dict[str, Any]:
    """The input that a data-point of another model or of a base class stands for."""
    return dict(dp) | {"v": json_value(dp.v)}


def _dp_model(model: ModelSpec, etype: Any, attr: Any) -> type[DataPointBase]:
    attribs = model.entity_attributes.get(etype, {}) if isinstance(etype, str) else {}
    if not isinstance(attr, str) or attr not in attribs:
        raise ValueError(f"Attribute '{attr}' not found in entity '{etype}'{did_you_mean(attr, attribs)}")
    return attribs[attr].dp_model


def _require_same(name: str, task: Any, dp: Any) -> None:
    if task != dp:
        raise ValueError(f"Task's {name} '{task}' doesn't match datapoint's {name} '{dp}'")


def _json_eid(eid: Any) -> Any:
    """An id in a form that pydantic can write though the field may hold anything."""
    return str(eid) if isinstance(eid, MACAddress) else eid


def _wire_tag(tag: Any) -> Any:
    return json_value(tag)


class TaskFields(BaseModel):
    """The arguments of a task, typed."""

    model_config = ConfigDict(title="DataPointTask")

    etype: Annotated[str, AfterValidator(_known_etype)]
    eid: Annotated[Any, AfterValidator(_typed_eid), PlainSerializer(_json_eid, when_used="json")]
    data_points: list[Annotated[Any, AfterValidator(_data_point)]] = Field(default_factory=list)
    tags: list[Annotated[Any, AfterValidator(_wire_tag)]] = Field(default_factory=list)
    ttl_tokens: dict[Text, AwareDatetime] | None = None
    delete: bool = False

    @model_validator(mode="after")
    def _not_empty(self, info: ValidationInfo) -> "TaskFields":
        if not (self.data_points or self.ttl_tokens or self.delete or _context(info).allow_empty):
            raise ValueError(
                "DataPointTask must contain at least one datapoint, non-empty ttl_tokens, "
                "or be a delete task."
            )
        return self


def validate_task(data: Any) -> tuple[TaskFields, ModelSpec]:
    """The typed arguments and the model they were validated with; raises pydantic's `ValidationError`."""
    context = _chosen_context(data.get("model_spec") if isinstance(data, Mapping) else None)
    return _with_model(TaskFields.model_validate(data, context=context), context)


def validate_task_json(text: str | bytes | bytearray) -> tuple[TaskFields, ModelSpec]:
    """The same for JSON text."""
    context = current_task_context()
    return _with_model(TaskFields.model_validate_json(text, context=context), context)


def _with_model(fields: TaskFields, context: TaskContext | None) -> tuple[TaskFields, ModelSpec]:
    assert context is not None, "validation fails without a model"
    return fields, context.model_spec


def _chosen_context(model_spec: ModelSpec | None) -> TaskContext | None:
    current = current_task_context()
    if model_spec is None:
        return current
    return TaskContext(model_spec, current is not None and current.allow_empty)
