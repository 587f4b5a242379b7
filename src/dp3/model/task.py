"""Tasks: what is to happen to one entity."""

import json
from collections.abc import Mapping
from copy import deepcopy
from datetime import datetime
from hashlib import md5
from typing import Any, ClassVar, Protocol

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from dp3.clock import to_datetime, to_us
from dp3.model.attrspec import point_from_wire, point_to_wire
from dp3.model.canonical import checked_text, copied, json_value, size_problem
from dp3.model.datapoint import DataPointBase
from dp3.model.entityspec import AnyEidT
from dp3.model.spec import ModelSpec
from dp3.model.task_fields import (
    TaskFields,
    set_default_model,
    task_context,
    validate_task,
    validate_task_json,
)
from dp3.model.wire import WirePoint, WireTask

__all__ = [
    "HASH",
    "DataPointTask",
    "Task",
    "parse_data_point_task",
    "set_default_model",
    "task_context",
    "task_from_wire",
    "task_to_wire",
]


def HASH(key: str) -> int:
    """A number 0…65535 that depends on `key` only: the last four hex digits of its MD5."""
    return int(md5(key.encode(), usedforsecurity=False).hexdigest()[-4:], 16)


class Task(Protocol):
    """A thing that can be routed to the owner of an entity."""

    def routing_key(self) -> str:
        """The text that tasks which must stay in order have in common."""
        ...

    def hashed_routing_key(self) -> int:
        """The routing key as a number 0…65535."""
        ...

    def as_message(self) -> str:
        """The task as JSON text."""
        ...


class DataPointTask:
    """Data-points, TTL tokens or the deletion of one entity.

    Keyword arguments: `etype`; `eid` (converted to the type of the entity's ids); `data_points`, a list of
    data-point objects or dictionaries with the keys `etype`, `eid`, `attr`, `v` and optionally `src`, `c`,
    `t1`, `t2`; `ttl_tokens`, a dictionary of name → date-time (UTC if it has no zone); `delete`; `tags`, a
    list that is carried along; `model_spec`. Other keywords are ignored. The model is `model_spec` if given,
    else that of the enclosing `task_context`, else that of the process. Everything is validated here;
    pydantic's `ValidationError` says what is wrong.

        DataPointTask(etype="device", eid="d1", data_points=[
            {"etype": "device", "eid": "d1", "attr": "owner", "v": "alice", "src": "inventory"}])
    """

    __slots__ = ("_points", "_wire_points", "delete", "eid", "etype", "model_spec", "tags", "ttl_tokens")

    etype: str
    eid: AnyEidT
    tags: list[Any]
    ttl_tokens: dict[str, datetime] | None
    delete: bool
    model_spec: ModelSpec

    model_fields: ClassVar[Mapping[str, FieldInfo]] = TaskFields.model_fields
    """The fields by name, as of a pydantic model. A task is none, because one that comes from the log is not
    validated again, but it has the methods that modules use."""

    def __init__(self, **data: Any) -> None:
        self._take(*validate_task(data))

    def _take(self, fields: TaskFields, model_spec: ModelSpec) -> None:
        self.model_spec = model_spec
        self.etype, self.eid = fields.etype, fields.eid
        self._points: list[DataPointBase] | None = fields.data_points
        self._wire_points: list[WirePoint] = []
        self.tags, self.ttl_tokens, self.delete = fields.tags, fields.ttl_tokens, fields.delete

    @property
    def data_points(self) -> list[DataPointBase]:
        """The data-points as objects of their attributes' classes (those of unknown attributes left out)."""
        if self._points is None:
            attribs = self.model_spec.entity_attributes[self.etype]
            etype, eid = self.etype, self.eid
            self._points = [
                point_from_wire(attribs[point.attr], etype, eid, point)
                for point in self._wire_points
                if point.attr in attribs
            ]
        return self._points

    @data_points.setter
    def data_points(self, points: list[DataPointBase]) -> None:
        self._points = points

    def wire_points(self) -> list[WirePoint]:
        """The data-points in wire form; raises `ValueError` if one was changed into something invalid."""
        if self._points is None:
            return self._wire_points
        return [point_to_wire(dp) for dp in self._points]

    def routing_key(self) -> str:
        """`etype:eid`."""
        return f"{self.etype}:{self._wire_eid()}"

    def hashed_routing_key(self) -> int:
        """`HASH` of the routing key."""
        return HASH(self.routing_key())

    def as_message(self) -> str:
        """Compact JSON with what was set and is not the default."""
        message = {"etype": self.etype, "eid": self._wire_eid()}
        if self.data_points:
            message["data_points"] = [_point_message(dp, message["eid"]) for dp in self.data_points]
        if self.tags:
            message["tags"] = self.tags
        if self.ttl_tokens:
            message["ttl_tokens"] = {name: _iso(moment) for name, moment in self.ttl_tokens.items()}
        if self.delete:
            message["delete"] = True
        return json.dumps(message, separators=(",", ":"), ensure_ascii=False)

    # -- as a pydantic model ---------------------------------------------------------------------------
    @classmethod
    def model_validate(cls, obj: Any) -> "DataPointTask":
        """The task with the arguments in a mapping; a task is returned as it is."""
        return obj if isinstance(obj, cls) else cls._made(*validate_task(obj))

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray) -> "DataPointTask":
        """The task of which `json_data` is the `model_dump_json()` or the `as_message()`."""
        return cls._made(*validate_task_json(json_data))

    @classmethod
    def _made(cls, fields: TaskFields, model_spec: ModelSpec) -> "DataPointTask":
        made = cls.__new__(cls)
        made._take(fields, model_spec)
        return made

    def model_dump(self, **options: Any) -> dict[str, Any]:
        """All fields in a dictionary, data-points likewise; `options` are those of pydantic."""
        return self._fields().model_dump(**options)

    def model_dump_json(self, **options: Any) -> str:
        """All fields as JSON; `options` are those of pydantic."""
        return self._fields().model_dump_json(**options)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> "DataPointTask":
        """A copy with the fields in `update` instead of its own, which are not validated. Unless it is deep,
        what its fields hold is the same."""
        values = dict(zip(TaskFields.model_fields, self._state(), strict=True))
        values = (deepcopy(values) if deep else values) | {"model_spec": self.model_spec} | dict(update or {})
        made = self.__new__(type(self))
        made._wire_points = []
        for name, value in values.items():
            setattr(made, name, value)
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> "DataPointTask":
        return self.model_copy(deep=True)

    def _fields(self) -> TaskFields:
        """The fields for pydantic; those count as set that are not the default."""
        values = dict(zip(TaskFields.model_fields, self._state(), strict=True))
        given = {name for name, value in values.items() if value}
        return TaskFields.model_construct(given | {"etype", "eid"}, **values)

    def _wire_eid(self) -> Any:
        return self.model_spec.entities[self.etype].eid_to_wire(self.eid)

    def _state(self) -> tuple[Any, ...]:
        return (self.etype, self.eid, self.data_points, self.tags, self.ttl_tokens, self.delete)

    def __eq__(self, other: object) -> bool:
        return self._state() == other._state() if isinstance(other, DataPointTask) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = ", ".join(f"{n}={v!r}" for n, v in zip(TaskFields.model_fields, self._state(), strict=True))
        return f"DataPointTask({shown})"


def _point_message(dp: DataPointBase, eid: Any) -> dict[str, Any]:
    wire = point_to_wire(dp)
    given: dict[str, Any] = {"etype": dp.etype, "eid": eid, "attr": dp.attr}
    for name in ("src", "v", "c", "t1", "t2"):
        value = getattr(dp, name)
        if name == "v":
            given["v"] = wire.v
        elif name in dp.model_fields_set and value is not None:
            given[name] = _iso(value) if isinstance(value, datetime) else value
    return given


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


_message_object = TypeAdapter(dict[str, Any])


def parse_data_point_task(task: str | bytes, model_spec: ModelSpec) -> DataPointTask:
    """The task of which `task` is the `as_message()`; everything is validated again."""
    return DataPointTask(**_message_object.validate_json(task) | {"model_spec": model_spec})


def task_to_wire(task: DataPointTask, generation: int = 0, max_value: int | None = None) -> WireTask:
    """The wire form of a task; raises `ValueError`, or what Python raises for a value of a wrong type, if the
    task or its data-points were changed into something invalid or a value has more than `max_value` bytes of
    JSON."""
    entity = task.model_spec.entities[task.etype]
    tokens = task.ttl_tokens
    points = task.wire_points()
    if max_value is not None:
        _check_sizes(task.etype, points, max_value)
    return WireTask(
        task.etype,
        entity.eid_to_wire(task.eid),
        points,
        generation=generation,
        ttl_tokens=None if not tokens else {checked_text(name): to_us(t) for name, t in tokens.items()},
        delete=bool(task.delete),
        tags=json_value(task.tags),
    )


def _check_sizes(etype: str, points: list[WirePoint], max_value: int) -> None:
    for point in points:
        if problem := size_problem(point.v, max_value):
            raise ValueError(f"{etype}.{point.attr}: {problem}")


def task_from_wire(wire: WireTask, model_spec: ModelSpec) -> DataPointTask:
    """The task of a wire task, trusted to be valid; data-point objects are made when first looked at.
    Whatever is changed in the task, the wire task stays as it is.

    Raises `KeyError` if the model does not know the entity type.
    """
    task = DataPointTask.__new__(DataPointTask)
    task.model_spec = model_spec
    task.etype = wire.etype
    task.eid = model_spec.entities[wire.etype].eid_from_wire(wire.eid)
    task._points = None
    task._wire_points = wire.points
    task.tags = copied(wire.tags)
    tokens = wire.ttl_tokens
    task.ttl_tokens = None if tokens is None else {name: to_datetime(us) for name, us in tokens.items()}
    task.delete = wire.delete
    return task
