"""The shapes of answers, for the OpenAPI description. Answers are encoded without passing through them."""

from datetime import datetime
from functools import cache
from typing import Any

from pydantic import BaseModel, Field


class WithWarnings(BaseModel):
    """`warnings`: what the client should know; only there if there is something."""

    warnings: list[str] = []


class Detail(BaseModel):
    """A text."""

    detail: str


class Written(WithWarnings):
    """The request is durable; with `wait=true`, whether it has been applied."""

    detail: str = Field(examples=["OK"])
    applied: bool | None = None


class ErrorItem(BaseModel):
    """An error, and its place in the request."""

    loc: list[str | int]
    msg: str
    type: str
    input: Any = None
    ctx: dict[str, Any] | None = None


class Invalid(BaseModel):
    """The request is wrong; nothing was stored."""

    detail: list[ErrorItem]


class EntityType(BaseModel):
    """One entity type of the model."""

    id: str
    id_data_type: str
    name: str
    attribs: dict[str, dict[str, Any]]
    eid_estimate_count: int


class AttributeAnswer(WithWarnings):
    """`attr_type`: 1 plain, 2 observations, 4 timeseries."""

    attr_type: int
    current_value: Any
    history: list[dict[str, Any]]


class EntityAnswer(WithWarnings):
    """Everything about one entity."""

    empty: bool
    master_record: dict[str, Any]
    snapshots: list[dict[str, Any]]


class RunTimes(BaseModel):
    """The times of the last run of snapshots and of the next one; null if there was or will be none."""

    last: datetime | None
    next: datetime | None


class FoundSnapshots(WithWarnings):
    """Snapshots of one page. `time_created`: when the run of the last one was; `total`: how many match in
    all, null if that takes too long to tell; `cursor` continues; `truncated`: cut off before the limit;
    `snapshot`: of the latest snapshots, when they were made."""

    time_created: datetime | None
    count: int
    data: list[dict[str, Any]]
    total: int | None = None
    cursor: str | None = None
    snapshot: RunTimes | None = None
    truncated: bool = False


class TotalCount(WithWarnings):
    """The number of snapshots that match; `truncated`: at least so many."""

    total_count: int
    truncated: bool = False


class ActionSent(WithWarnings):
    """The workers have been told; with the `id` one can ask what became of it."""

    detail: str = Field(examples=["Action sent."])
    id: str


class ActionResults(BaseModel):
    """The outcome of a request: whether all workers are through, and what each says (null: not yet;
    `progress`: how far it is)."""

    done: bool
    results: list[dict[str, Any] | None]


class SnapshotSummary(BaseModel):
    """Seconds since the latest run and the latest complete one began; entities and duration of that one."""

    latest_age: float | None
    finished_age: float | None
    entities: int | None
    total_s: float | None


class RawRow(BaseModel):
    """A data-point as it was accepted."""

    type: str
    id: str | int
    attr: str
    v: Any
    src: str | None
    c: float | None
    t1: datetime | None
    t2: datetime | None


class RawAnswer(WithWarnings):
    """Accepted data-points, newest first; `truncated` when the search stopped at its limits, `damaged`: the
    number of log entries that it could not read."""

    count: int
    data: list[RawRow]
    truncated: bool = False
    damaged: int = 0


class Readiness(BaseModel):
    """`reasons` says why not."""

    status: str
    reasons: list[str] = []


class PartitionState(BaseModel):
    """The backlog of a partition in one lane, in entries."""

    partition: int
    lane: str
    position: int
    head: int
    lag: int


class LogState(BaseModel):
    """The backlog of the workers."""

    unprocessed_bytes: int
    oldest_unprocessed_age_s: float | None
    partitions: list[PartitionState]


class AttributeSizes(BaseModel):
    """By attribute: how many entities have it, and the `min`, `mean`, `max` and `total` of its bytes (null
    and 0 if none has it)."""

    calculated_at: datetime
    duration_s: float
    attributes: dict[str, dict[str, float | None]]


class EventCountsAnswer(BaseModel):
    """Events since `since`, the start of the current interval, and in the one before."""

    group: str
    interval: str
    since: datetime
    current: dict[str, int]
    last: dict[str, int]


class Queues(BaseModel):
    """The backlog of the workers, one queue for each and lane."""

    queues: list[dict[str, Any]]


class DeadLetterState(BaseModel):
    """A failure and its reason."""

    id: int
    time: datetime
    kind: str
    module: str
    hook: str
    partition: int
    etype: str
    eid: str
    reason: str
    traceback: str
    task: dict[str, Any] | None
    context: dict[str, Any]


class DeadLetters(BaseModel):
    """`total` counts all dead letters, whatever the filters."""

    count: int
    total: int
    data: list[DeadLetterState]


class DeadLetterGroup(BaseModel):
    """Dead letters of one hook for one reason; with `reasons` different ones that begin like the one shown,
    which is that of the `newest` (its id)."""

    kind: str
    module: str
    hook: str
    reason: str
    reasons: int
    count: int
    first: datetime
    last: datetime
    newest: int


class DeadLetterSummary(BaseModel):
    """`total` counts all dead letters, `count` those that pass the filters; the group with the newest is
    first."""

    total: int
    count: int
    groups: list[DeadLetterGroup]


class DeadLetterResults(BaseModel):
    """The outcome for each dead letter: `done`, or a `reason` why not."""

    detail: str
    results: dict[str, dict[str, Any]]


INVALID: dict[int | str, dict[str, Any]] = {422: {"model": Invalid, "description": "The request is wrong"}}

BUSY: dict[int | str, dict[str, Any]] = {
    503: {"model": Detail, "description": "Too many requests at once; try again after `Retry-After`"}
}

WRITTEN: dict[int | str, dict[str, Any]] = {
    202: {"model": Written, "description": "Durable, but not applied in time (`wait=true`)"},
    408: {"model": Detail, "description": "The body did not come in time"},
    413: {"model": Detail, "description": "The body is too large"},
    415: {"model": Detail, "description": "The body is compressed"},
    503: {"model": Detail, "description": "Too much waits to be processed; try again after `Retry-After`"},
    **INVALID,
}


@cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a model, which takes a millisecond to make."""
    return model.model_json_schema()


def request_body(*forms: type[BaseModel] | dict[str, Any]) -> dict[str, Any]:
    """The description of a body that a route reads itself, in one of these forms (models or JSON schemas)."""
    schemas = [form if isinstance(form, dict) else _schema(form) for form in forms]
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
