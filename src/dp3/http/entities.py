"""Routes about single entities, in both versions of the API."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from dp3.clock import to_us
from dp3.http.answers import Json
from dp3.http.datapoints import client_address
from dp3.http.intake import Intake
from dp3.http.payloads import NewValue, set_task, ttl_task
from dp3.http.reading import EntityReads
from dp3.http.schemas import INVALID, WRITTEN, AttributeAnswer, EntityAnswer, RawAnswer, Written
from dp3.http.services import Services
from dp3.http.targets import Addressing, Entity, EntityAttr, Lookup
from dp3.http.writing import Writer
from dp3.model.durations import AwareDatetime
from dp3.model.wire import WireTask
from dp3.reads.as_of import AsOf
from dp3.reads.profiles import Span
from dp3.reads.query.documents import with_time
from dp3.reads.raw import RawQuery, find_raw
from dp3.reads.snapshots import Snapshots

Wait = Annotated[bool, Query(description="Answer when the change has been applied, at most 10 s later")]
Moment = Annotated[AwareDatetime | None, Query(description="ISO 8601 or Unix time; without zone it is UTC")]


async def span(date_from: Moment = None, date_to: Moment = None) -> Span:
    """The query parameters `date_from` and `date_to`."""
    return Span(None if date_from is None else to_us(date_from), None if date_to is None else to_us(date_to))


InSpan = Annotated[Span, Depends(span)]
At = Annotated[
    AwareDatetime | None,
    Query(description="What held at this moment, from history as known now; ISO 8601 or Unix time"),
]


def reading_routes(services: Services, lookup: Lookup, paths: Addressing, reads: EntityReads) -> APIRouter:
    """Routes that read one entity."""
    router = APIRouter(prefix=paths.prefix, responses=INVALID)

    @router.get(paths.master_path, response_model=dict[str, Any])
    def master(entity: Annotated[Entity, Depends(paths.entity)], span: InSpan, at: At = None) -> Response:
        """The master record: everything known of the entity, or what held at a moment."""
        return reads.master(entity, span, _us(at))

    @router.get(paths.get_attr_path, response_model=AttributeAnswer)
    def get_attr(
        target: Annotated[EntityAttr, Depends(paths.entity_attr)], span: InSpan, at: At = None
    ) -> Response:
        """Value now (or at a moment) and history of one attribute."""
        return reads.attribute(target, span, _us(at))

    @router.get("/raw/get", response_model=RawAnswer)
    def raw(
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
        return Json(
            find_raw(services.log, services.store, RawQuery(etype, wanted_eid, attr, src, skip, limit))
        )

    return router


def snapshot_routes(services: Services, paths: Addressing) -> APIRouter:
    """Routes that read the snapshots of one entity. Their shortest path takes any id, so they come last."""
    router = APIRouter(prefix=paths.prefix, responses=INVALID)
    reader, moments = services.reader, AsOf(services.store, services.model)
    snapshots = Snapshots(services.store)

    @router.get(paths.snapshots_path, response_model=list[dict[str, Any]])
    def series(
        entity: Annotated[Entity, Depends(paths.entity)],
        span: InSpan,
        skip: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=0, description="0: as many as an answer may have")] = 0,
    ) -> Response:
        """The entity's snapshots of all runs, oldest first."""
        return Json(snapshots.series(entity.etype, str(entity.eid), span, skip, limit))

    def everything(entity: Annotated[Entity, Depends(paths.entity)], span: InSpan, at: At = None) -> Response:
        """Master record and snapshots, or both for one moment."""
        etype, eid = entity.etype, str(entity.eid)
        master = reader.master(etype, entity.eid, span, _us(at))
        if at is None:
            found = snapshots.series(etype, eid, span)
        else:
            values = moments.values(etype, eid, to_us(at))
            found = [] if values is None else [with_time(values, to_us(at))]
        return Json({"empty": not master and not found, "master_record": master, "snapshots": found})

    for i, path in enumerate(paths.entity_paths):
        router.get(path, response_model=EntityAnswer, include_in_schema=i == 0)(everything)
    return router


def _us(moment: datetime | None) -> int | None:
    return None if moment is None else to_us(moment)


def writing_routes(services: Services, paths: Addressing, intake: Intake, writer: Writer) -> APIRouter:
    """Routes that change one entity."""
    router = APIRouter(prefix=paths.prefix, responses=WRITTEN)

    async def read_body(request: Request) -> AsyncIterator[bytes]:
        await intake.admit()
        with intake.body(request.scope) as incoming:
            yield await incoming.read(request.receive)

    Body = Annotated[bytes, Depends(read_body)]

    @router.post(paths.set_attr_path, response_model=Written, openapi_extra=_json_body(NewValue))
    async def set_attr(
        request: Request,
        target: Annotated[EntityAttr, Depends(paths.entity_attr)],
        body: Body,
        wait: Wait = False,
    ) -> Response:
        """Set an attribute to a value, from now on."""
        now, client = services.clock.now_us(), client_address(request.scope)
        task = await run_in_threadpool(set_task, body, target, services.model, now_us=now, client=client)
        return await writer.write([task], wait=wait)

    @router.post(paths.ttl_path, response_model=Written, openapi_extra=_tokens_body())
    async def extend_ttl(
        entity: Annotated[Entity, Depends(paths.entity)], body: Body, wait: Wait = False
    ) -> Response:
        """Keep the entity at least until the times given; tokens can only be moved later."""
        return await writer.write([await run_in_threadpool(ttl_task, body, entity)], wait=wait)

    async def delete(entity: Annotated[Entity, Depends(paths.entity)], wait: Wait = False) -> Response:
        """Delete the entity. Its raw data-points stay, and later ones create it again."""
        await intake.admit()
        return await writer.write([WireTask(entity.etype, entity.eid, [], delete=True)], wait=wait)

    for i, path in enumerate(paths.entity_paths):
        router.delete(path, response_model=Written, include_in_schema=i == 0)(delete)
    return router


def _json_body(model: type[NewValue]) -> dict[str, Any]:
    return _request_body(model.model_json_schema())


def _tokens_body() -> dict[str, Any]:
    time = {"type": "string", "format": "date-time"}
    return _request_body({"type": "object", "additionalProperties": time, "minProperties": 1})


def _request_body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
