"""The slow path of `POST /datapoints`: pydantic decides, and all errors are collected."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from dp3.http.answers import Error, invalid, parse_json, pydantic_errors
from dp3.http.writing import Groups
from dp3.model.attrspec import AttrSpecType, point_to_wire
from dp3.model.durations import AwareDatetime
from dp3.model.spec import ModelSpec
from dp3.model.wire import WirePoint

MAX_ERRORS = 1_000
"""Mistakes that end the check of a request: each costs more than a good data-point."""


class DataPoint(BaseModel):
    """One value of one attribute of one entity, as clients send it."""

    type: str = Field(description="Entity type", examples=["device"])
    id: Any = Field(description="Entity id, of the type that the entity type has", examples=["dev-1"])
    attr: str = Field(description="Attribute", examples=["load"])
    v: Any = Field(description="The value, of the attribute's data type")
    t1: AwareDatetime | None = Field(None, description="Start of validity; not for plain attributes")
    t2: AwareDatetime | None = Field(None, description="End of validity, `t1` by default")
    c: Annotated[float, Field(ge=0, le=1)] = Field(1.0, description="Confidence")
    src: str | None = Field(None, description="Where the data-point comes from")


def validate(body: bytes, model: ModelSpec) -> Groups:
    """All data-points of a body by entity, or a refusal with all errors (at most about `MAX_ERRORS`)."""
    sent = parse_json(body)
    if not isinstance(sent, list):
        raise invalid(
            [{"type": "list_type", "loc": ["body"], "msg": "Input should be a valid list", "input": sent}]
        )
    groups: dict[tuple[str, int | str], list[WirePoint]] = {}
    errors: list[Error] = []
    for i, item in enumerate(sent):
        try:
            etype, eid, point = _validate_one(item, model)
        except _Invalid as refused:
            errors.extend(pydantic_errors(refused.errors, ["body", i]))
            if len(errors) >= MAX_ERRORS:
                errors.append(_too_many(["body"], f"what follows data-point {i} was not checked"))
                break
        else:
            groups.setdefault((etype, eid), []).append(point)
    if errors:
        raise invalid(errors)
    return groups


class _Invalid(Exception):
    def __init__(self, errors: Sequence[Any]) -> None:
        self.errors = errors


def _validate_one(item: Any, model: ModelSpec) -> tuple[str, int | str, WirePoint]:
    try:
        sent = DataPoint.model_validate(item, from_attributes=True)
        spec = _spec(sent, item, model)
        dp = spec.dp_model.model_validate(_internal(item, sent.c))
    except ValidationError as error:
        raise _Invalid(_errors_of(error)) from None
    return dp.etype, model.entity(dp.etype).eid_to_wire(dp.eid), point_to_wire(dp)


def _errors_of(error: ValidationError) -> Sequence[Any]:
    if error.error_count() > MAX_ERRORS:
        return [_too_many((), f"there are {error.error_count()} in this data-point")]
    return error.errors(include_url=False)


def _too_many(loc: Sequence[str], detail: str) -> Error:
    return {"type": "too_many_errors", "loc": loc, "msg": f"Too many errors: {detail}", "input": None}


def _spec(sent: DataPoint, item: Any, model: ModelSpec) -> AttrSpecType:
    spec = model.attributes.get((sent.type, sent.attr))
    if spec is None:
        message = f"Combination of type '{sent.type}' and attr '{sent.attr}' doesn't exist"
        error = {"type": "value_error", "loc": (), "msg": f"Value error, {message}", "input": item}
        raise _Invalid([error | {"ctx": {"error": {}}}])
    return spec


def _internal(item: dict[str, Any], c: float) -> dict[str, Any]:
    """The data-point under the names used inside, otherwise as sent, so that errors show what was sent."""
    return {
        "etype": item["type"],
        "eid": item["id"],
        "attr": item["attr"],
        "v": item["v"],
        "t1": item.get("t1"),
        "t2": item.get("t2"),
        "c": c,
        "src": item.get("src"),
    }
