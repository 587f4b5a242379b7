"""The slow path of `POST /datapoints`: pydantic decides, and all errors are collected."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from dp3.http.answers import (
    MAX_ECHO,
    MAX_ERRORS,
    Error,
    Errors,
    Loc,
    Refusal,
    invalid,
    json_invalid,
    parse_json,
    pydantic_errors,
    too_many_errors,
)
from dp3.http.pieces import (
    SMALL_BODY,
    ElementTooLarge,
    InvalidJson,
    Sent,
    after_space,
    check_utf8,
    elements,
)
from dp3.http.remarks import Remarks, mistakes
from dp3.http.writing import BYTES_AT_ONCE, Groups
from dp3.model.attrspec import point_to_wire
from dp3.model.canonical import size_problem
from dp3.model.durations import AwareDatetime, none_if_empty
from dp3.model.errors import did_you_mean
from dp3.model.spec import ModelSpec
from dp3.model.wire import WirePoint


class DataPoint(BaseModel):
    """One value of one attribute of one entity, as clients send it."""

    type: str = Field(description="Entity type", examples=["device"])
    id: Any = Field(description="Entity id, of the type that the entity type has", examples=["dev-1"])
    attr: str = Field(description="Attribute", examples=["load"])
    v: Any = Field(description="The value, of the attribute's data type")
    t1: AwareDatetime | None = Field(None, description="Start of validity; not for plain attributes")
    t2: Annotated[AwareDatetime | None, BeforeValidator(none_if_empty)] = Field(
        None, description="End of validity, `t1` by default"
    )
    c: Annotated[float, Field(ge=0, le=1)] = Field(1.0, description="Confidence")
    src: str | None = Field(None, description="Where the data-point comes from")


MOST_SUGGESTIONS = 20
"""Near names are looked for until a request has so many errors: it takes 2 ms among 200 attributes."""

LONGEST_NAME = 100
"""Characters of a name for which a near one is looked for."""


class Validator:
    """Validates bodies for one model. A value may have `max_value` bytes of JSON, a data-point twice as
    many."""

    def __init__(self, model: ModelSpec, max_value: int) -> None:
        self._model = model
        self._max_value = max_value

    def validate(self, body: Sent, remarks: Remarks) -> Iterator[Groups]:
        """All data-points of a body by entity, those of about `BYTES_AT_ONCE` at a time; at last a refusal
        with all errors (at most about `MAX_ERRORS`) if there are any."""
        groups: dict[tuple[str, int | str], list[WirePoint]] = {}
        errors = Errors()
        i = taken = 0
        try:
            for size, items in _read_list(body, 2 * self._max_value):
                for item in items:
                    try:
                        suggestions = max(MOST_SUGGESTIONS - len(errors), 0)
                        etype, eid, point = self._validate_one(item, size, remarks, suggestions)
                    except _Invalid as wrong:
                        _add_errors(wrong, i, errors)
                    else:
                        groups.setdefault((etype, eid), []).append(point)
                    i += 1
                taken += size
                if taken >= BYTES_AT_ONCE:
                    yield groups
                    groups, taken = {}, 0
        except ElementTooLarge:
            reason = f"it has more than {2 * self._max_value} bytes; what follows was not checked"
            errors.add([_value_error(["body", i], f"Data-point is too large: {reason}", None)])
        except InvalidJson as error:
            raise json_invalid(body, error) from None
        if errors:
            raise errors.refusal()
        yield groups

    def _validate_one(
        self, item: Any, size: int, remarks: Remarks, suggestions: int
    ) -> tuple[str, int | str, WirePoint]:
        """The entity and the data-point that an item of at most `size` bytes holds. Raises `_Invalid`, with
        near names for so many mistakes at most."""
        model, spec = self._model, None
        try:
            sent = DataPoint.model_validate(item, from_attributes=True)
            if size > self._max_value and (problem := size_problem(sent.v, self._max_value)):
                raise _Invalid(lambda loc: [_value_error([*loc, "v"], problem, sent.v)])
            spec = model.attributes.get((sent.type, sent.attr))
            if spec is None:
                raise _unknown(sent, item, model, suggestions > 0)
            dp = spec.dp_model.model_validate(_internal(item, sent.c))
        except ValidationError as error:
            refuses = remarks.refuses and isinstance(item, dict)
            refused = partial(mistakes, item, spec, suggestions) if refuses else _none
            raise _Invalid(partial(_all_errors, error, refused)) from None
        if remarks.refuses and mistakes(item, spec, 0, ()):
            raise _Invalid(partial(mistakes, item, spec, suggestions))
        point = point_to_wire(dp)
        remarks.item(item, spec, point.t2)
        return dp.etype, model.entity(dp.etype).eid_to_wire(dp.eid), point


def _all_errors(error: ValidationError, others: Callable[[Loc], list[Error]], loc: Loc) -> list[Error]:
    return [*_as_sent(error, loc), *others(loc)]


def _none(_loc: Loc) -> list[Error]:
    return []


class _Invalid(Exception):
    """A data-point is wrong; `errors(loc)` lists why, with locations below that of the data-point."""

    def __init__(self, errors: Callable[[Loc], list[Error]]) -> None:
        super().__init__()
        self.errors = errors


def _add_errors(wrong: _Invalid, index: int, errors: Errors) -> None:
    """Add those of a data-point. Raises the refusal when there are too many."""
    errors.add(wrong.errors(["body", index]))
    if len(errors) >= MAX_ERRORS:
        errors.add([too_many_errors(["body"], f"what follows data-point {index} was not checked")])
        raise errors.refusal() from None


def _read_list(body: Sent, largest: int) -> Iterator[tuple[int, list[Any]]]:
    """The elements of the list in a body, some at a time, with the bytes of their text."""
    if len(body) <= SMALL_BODY:
        sent = parse_json(body)
        if not isinstance(sent, list):
            raise _no_list(sent)
        yield len(body), sent
        return
    check_utf8(body)
    start = after_space(body, 0)
    if body[start : start + 1] == b"[":
        yield from elements(body, largest)
    elif len(body) <= largest:
        raise _no_list(parse_json(body))
    else:
        raise _no_list(body[start : start + MAX_ECHO].decode("utf-8", "ignore"))


def _no_list(sent: Any) -> Refusal:
    message = "Input should be a valid list"
    return invalid([{"type": "list_type", "loc": ["body"], "msg": message, "input": sent}])


def _value_error(loc: Loc, message: str, sent: Any) -> Error:
    """The error as pydantic would give it."""
    error: Error = {"type": "value_error", "loc": loc, "msg": f"Value error, {message}", "input": sent}
    return error | {"ctx": {"error": {}}}


def _unknown(sent: DataPoint, item: Any, model: ModelSpec, suggest: bool) -> _Invalid:
    message = f"Combination of type '{sent.type}' and attr '{sent.attr}' doesn't exist"
    if suggest:
        message += _near(sent, model)
    return _Invalid(lambda loc: [_value_error(loc, message, item)])


def _near(sent: DataPoint, model: ModelSpec) -> str:
    """The name that seems to be meant: of a type, or of an attribute of a known type."""
    known = model.entity_attributes.get(sent.type)
    name, names = (sent.type, model.entities) if known is None else (sent.attr, known)
    return did_you_mean(name, names) if len(name) <= LONGEST_NAME else ""


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


def _as_sent(error: ValidationError, loc: Loc) -> list[Error]:
    """The errors under the names that clients use."""
    errors = pydantic_errors(error, loc)
    for one in errors:
        if one["loc"][len(loc) :] == ["eid"]:
            one["loc"] = [*loc, "id"]
    return errors
