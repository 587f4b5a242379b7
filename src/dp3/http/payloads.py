"""Bodies of `set` and `ttl` requests: from bytes to tasks."""

import json
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from dp3.clock import to_datetime, to_us
from dp3.http.answers import invalid, invalid_value, parse_json, pydantic_errors
from dp3.http.targets import Entity, EntityAttr
from dp3.model.attrspec import point_to_wire
from dp3.model.durations import AwareDatetime
from dp3.model.primitives import Text
from dp3.model.spec import ModelSpec
from dp3.model.wire import WireTask


class NewValue(BaseModel):
    """The value that an attribute is set to."""

    value: Any = None


_parse_tokens = TypeAdapter(dict[Text, AwareDatetime]).validate_python


def set_task(body: bytes, target: EntityAttr, model: ModelSpec, *, now_us: int, client: str) -> WireTask:
    """A data-point with the value in the body, valid from now, or a refusal."""
    entity, spec = target
    sent = {
        "etype": entity.etype,
        "eid": model.entity(entity.etype).eid_from_wire(entity.eid),
        "attr": spec.id,
        "v": _new_value(body),
        "t1": to_datetime(now_us),
        "t2": None,
        "c": 1.0,
        "src": f"{client} via API",
    }
    try:
        dp = spec.dp_model.model_validate(sent)
    except ValidationError as error:
        raise invalid_value(["body", "value"], error.errors()[0]["msg"]) from None
    return WireTask(entity.etype, entity.eid, [point_to_wire(dp)])


def _new_value(body: bytes) -> Any:
    try:
        return NewValue.model_validate(json.loads(body)).value
    except ValidationError as error:
        raise invalid_value(["body"], error.errors()[0]["msg"]) from None
    except RecursionError:
        raise invalid_value(["body"], "The body is nested too deeply") from None
    except ValueError as error:
        raise invalid_value(["body"], str(error)) from None


def ttl_task(body: bytes, entity: Entity) -> WireTask:
    """The tokens in the body, or a refusal."""
    try:
        tokens = _parse_tokens(parse_json(body))
    except ValidationError as error:
        raise invalid(pydantic_errors(error.errors(include_url=False), ["body"])) from None
    if not tokens:
        raise invalid_value(["body"], 'At least one token is needed, for example {"base": "2030-01-01"}')
    expiries = {name: to_us(expiry) for name, expiry in tokens.items()}
    return WireTask(entity.etype, entity.eid, [], ttl_tokens=expiries)
