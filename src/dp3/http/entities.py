"""Routes about single entities, in both versions of the API."""

import json
from collections.abc import AsyncIterator, Collection
from datetime import datetime
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.responses import Response

from dp3.clock import to_datetime, to_us
from dp3.http.answers import invalid, invalid_value, parse_json, pydantic_errors, refused
from dp3.http.intake import Intake
from dp3.http.parameters import Addressing, Entity, EntityAttr, InSpan, Lookup, Wait, client_address
from dp3.http.pieces import InvalidJson, Sent, check_utf8
from dp3.http.remarks import Remarked, Remarks, mistakes_in_value
from dp3.http.schemas import (
    BUSY,
    INVALID,
    WRITTEN,
    AttributeAnswer,
    EntityAnswer,
    RawAnswer,
    Written,
    request_body,
)
from dp3.http.services import Services
from dp3.http.unknown_names import Known, attributes_of, route_class
from dp3.http.validation import MOST_SUGGESTIONS
from dp3.http.warnings import Told, Warnings
from dp3.http.writing import Writer
from dp3.model.attrspec import point_to_wire
from dp3.model.canonical import size_problem
from dp3.model.durations import AwareDatetime
from dp3.model.primitives import Text
from dp3.model.spec import ModelSpec
from dp3.model.wire import WireTask
from dp3.reads.raw import RawQuery

At = Annotated[
    AwareDatetime | None,
    Query(description="What held at this moment, from history as known now; ISO 8601 or Unix time"),
]


NewestFirst = Annotated[
    int | None,
    Query(
        ge=1,
        lt=1 << 31,
        description="The newest intervals, newest first: so many, and those that begin with the last of them",
    ),
]


def reading_routes(services: Services, lookup: Lookup, paths: Addressing) -> APIRouter:
    """Routes that read one entity."""
    router = APIRouter(
        prefix=paths.prefix,
        tags=[paths.tag],
        responses=INVALID | BUSY,
        route_class=route_class(services.model),
    )
    reads, rendering = services.reads, services.rendering
    reading, queries = services.pools.reading.serves, services.pools.queries.serves

    @router.get(paths.master_path, response_model=dict[str, Any])
    @reading
    def get_entity_master(
        entity: Annotated[Entity, Depends(paths.entity)], span: InSpan, at: At = None
    ) -> Response:
        """The master record: everything known of the entity, or what held at a moment."""
        found = reads.profiles.master(entity.etype, entity.eid, span, _us(at))
        return rendering.json(found, rendering.master(entity.etype))

    @router.get(paths.get_attr_path, response_model=AttributeAnswer)
    @reading
    def get_entity_attr(
        target: Annotated[EntityAttr, Depends(paths.entity_attr)],
        span: InSpan,
        at: At = None,
        limit: NewestFirst = None,
    ) -> Response:
        """Value now (or at a moment) and history of one attribute."""
        (etype, eid), spec = target
        found = reads.profiles.attribute(etype, eid, spec, span, _us(at), limit)
        return rendering.answer(found, rendering.attribute(etype, spec.id))

    @router.get("/raw/get", response_model=RawAnswer)
    @queries
    def get_raw_datapoints(
        etype: str,
        eid: str | None = None,
        attr: str | None = None,
        src: str | None = None,
        skip: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=0, description="0: as many as the search finds")] = 20,
    ) -> Response:
        """Accepted data-points, newest first, as far back as a bounded search gets."""
        lookup.etype(etype)
        wanted_eid = None if eid is None else lookup.entity(etype, eid, "query").eid
        if attr is not None:
            lookup.attr(etype, attr, "query")
        found = reads.raw.find(RawQuery(etype, wanted_eid, attr, src, skip, limit))
        return rendering.answer(found, {"data": rendering.data_point(etype)})

    return router


def snapshot_routes(services: Services, paths: Addressing) -> APIRouter:
    """Routes that read the snapshots of one entity. Their shortest path takes any id, so they come last."""
    router = APIRouter(
        prefix=paths.prefix,
        tags=[paths.tag],
        responses=INVALID | BUSY,
        route_class=route_class(services.model),
    )
    reads, rendering, reading = services.reads, services.rendering, services.pools.reading.serves

    @router.get(paths.snapshots_path, response_model=list[dict[str, Any]])
    @reading
    def get_entity_snapshots(
        entity: Annotated[Entity, Depends(paths.entity)],
        span: InSpan,
        skip: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=0, description="0: as many as an answer may have")] = 0,
    ) -> Response:
        """The entity's snapshots of all runs, oldest first."""
        found = reads.snapshots.series(entity.etype, str(entity.eid), span, skip, limit)
        return rendering.json(found, rendering.snapshot(entity.etype))

    @reading
    def get_entity(entity: Annotated[Entity, Depends(paths.entity)], span: InSpan, at: At = None) -> Response:
        """Master record and snapshots, or both for one moment."""
        master, snapshots = reads.entity(entity.etype, entity.eid, span, _us(at))
        empty = not master and not snapshots
        times = {
            "master_record": rendering.master(entity.etype),
            "snapshots": rendering.snapshot(entity.etype),
        }
        return rendering.answer({"empty": empty, "master_record": master, "snapshots": snapshots}, times)

    for i, path in enumerate(paths.entity_paths):
        router.get(path, response_model=EntityAnswer, include_in_schema=i == 0)(get_entity)
    return router


def _us(moment: datetime | None) -> int | None:
    return None if moment is None else to_us(moment)


class NewValue(BaseModel):
    """The value that an attribute is set to."""

    value: Any = None


_parse_tokens = TypeAdapter(dict[Text, AwareDatetime]).validate_python


def writing_routes(
    services: Services, paths: Addressing, intake: Intake, writer: Writer, remarked: Remarked
) -> APIRouter:
    """Routes that change one entity."""
    router = APIRouter(
        prefix=paths.prefix,
        tags=[paths.tag],
        responses=WRITTEN,
        route_class=route_class(services.model),
    )

    async def read_body(request: Request) -> AsyncIterator[Sent]:
        await intake.admit()
        with intake.body(request.scope) as incoming:
            yield await incoming.read(request.receive)

    Body = Annotated[Sent, Depends(read_body)]
    max_value = services.settings.max_value
    refuses = services.settings.unknown_keys == "refuse"

    @router.post(paths.set_attr_path, response_model=Written, openapi_extra=request_body(NewValue))
    async def set_entity_attr(
        request: Request,
        target: Annotated[EntityAttr, Depends(paths.entity_attr)],
        body: Body,
        told: Told,
        wait: Wait = False,
    ) -> Response:
        """Set an attribute to a value, from now on."""
        now, client = services.clock.now_us(), client_address(request.scope)
        remarks = Remarks(client, now, refuses=refuses)
        change = _Change(target, services.model, now, remarks, told)
        task = await intake.decode(_set_task, body, max_value, change)
        response = await writer.write([task], wait=wait)
        remarked.note(remarks, client)
        remarks.warn(told)
        return response

    @router.post(paths.ttl_path, response_model=Written, openapi_extra=request_body(TOKENS_SCHEMA))
    async def extend_entity_ttl(
        entity: Annotated[Entity, Depends(paths.entity)], body: Body, wait: Wait = False
    ) -> Response:
        """Keep the entity at least until the times given; tokens can only be moved later."""
        return await writer.write([await intake.decode(_ttl_task, body, entity, max_value)], wait=wait)

    async def delete_entity(entity: Annotated[Entity, Depends(paths.entity)], wait: Wait = False) -> Response:
        """Delete the entity. Its raw data-points stay, and later ones create it again."""
        await intake.admit()
        return await writer.write([WireTask(entity.etype, entity.eid, [], delete=True)], wait=wait)

    for i, path in enumerate(paths.entity_paths):
        router.delete(path, response_model=Written, include_in_schema=i == 0)(delete_entity)
    return router


TOKENS_SCHEMA = {
    "type": "object",
    "additionalProperties": {"type": "string", "format": "date-time"},
    "minProperties": 1,
}


class _Change(NamedTuple):
    """A wish to set an attribute: at which time, and what is to be said of it."""

    target: EntityAttr
    model: ModelSpec
    now_us: int
    remarks: Remarks
    told: Warnings


_KEYS = Known("body", "key", NewValue.model_fields)


def _set_task(body: Sent, max_value: int, change: _Change) -> WireTask:
    """A data-point with the value in the body, valid from now, or a refusal."""
    (entity, spec), model, remarks = change.target, change.model, change.remarks
    value = _new_value(body, max_value, attributes_of(model, entity.etype), change.told)
    src = f"{remarks.client} via API"
    sent = {
        "etype": entity.etype,
        "eid": model.entity(entity.etype).eid_from_wire(entity.eid),
        "attr": spec.id,
        "v": value,
        "t1": to_datetime(change.now_us),
        "t2": None,
        "c": 1.0,
        "src": src,
    }
    try:
        dp = spec.dp_model.model_validate(sent)
    except ValidationError as error:
        raise invalid_value(["body", "value"], pydantic_errors(error, ())[0]["msg"]) from None
    if remarks.refuses and (errors := mistakes_in_value(value, spec, MOST_SUGGESTIONS, ["body", "value"])):
        raise invalid(errors)
    remarks.value(entity.etype, spec, value, src)
    return WireTask(entity.etype, entity.eid, [point_to_wire(dp)])


def _new_value(body: Sent, max_value: int, attributes: Collection[str], told: Warnings) -> Any:
    if len(body) > 2 * max_value:
        raise invalid_value(["body", "value"], f"the body has {len(body)} bytes, more than {2 * max_value}")
    try:
        check_utf8(body)
        sent = json.loads(body.decode("utf-8-sig"))
        value = NewValue.model_validate(sent).value
    except InvalidJson as error:
        raise invalid_value(["body"], f"{error.reason} at byte {error.position}") from None
    except ValidationError as error:
        raise invalid_value(["body"], error.errors()[0]["msg"]) from None
    except RecursionError:
        raise invalid_value(["body"], "The body is nested too deeply") from None
    except ValueError as error:
        raise invalid_value(["body"], str(error)) from None
    _KEYS.check(sent, attributes, told)
    if len(body) > max_value and (problem := size_problem(value, max_value)):
        raise invalid_value(["body", "value"], problem)
    return value


def _ttl_task(body: Sent, entity: Entity, max_value: int) -> WireTask:
    """The tokens in the body, or a refusal."""
    if len(body) > max_value:
        raise refused(413, f"the body is larger than {max_value} bytes (max_value); send the tokens in parts")
    try:
        tokens = _parse_tokens(parse_json(body))
    except ValidationError as error:
        raise invalid(pydantic_errors(error, ["body"])) from None
    if not tokens:
        raise invalid_value(["body"], 'At least one token is needed, for example {"base": "2030-01-01"}')
    expiries = {name: to_us(expiry) for name, expiry in tokens.items()}
    return WireTask(entity.etype, entity.eid, [], ttl_tokens=expiries)
