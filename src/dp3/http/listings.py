"""Routes about many entities: their latest snapshots, or their values at any moment."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from dp3.clock import to_datetime, to_us
from dp3.http.answers import (
    MAX_ERRORS,
    Errors,
    Json,
    invalid,
    parse_json,
    pydantic_errors,
    refused,
    too_many_errors,
)
from dp3.http.intake import Intake
from dp3.http.parameters import Addressing, Filtered, Lookup, Paged, Sort
from dp3.http.pieces import Sent
from dp3.http.schemas import INVALID, Detail, FoundSnapshots, TotalCount
from dp3.http.services import Services
from dp3.model.durations import AwareDatetime
from dp3.model.entityspec import EntitySpec
from dp3.reads.listings import Listing

MAX_EIDS, MAX_EIDS_BYTES = 10_000, 4 << 20
"""Ids in one request, and size of the request: 400 bytes an id."""

At = Annotated[
    AwareDatetime | None,
    Query(description="Values at this moment instead of the latest snapshot; ISO 8601 or Unix time"),
]

REFUSED: dict[int | str, dict[str, Any]] = {
    400: {"model": Detail, "description": "The filter can not be processed"},
    503: {"model": Detail, "description": "The question takes too long"},
    **INVALID,
}


class Eids(BaseModel):
    """Ids of entities."""

    eids: list[Any] = Field(max_length=MAX_EIDS)


_parse_eids = TypeAdapter(Eids).validate_python


def listing_routes(services: Services, lookup: Lookup, paths: Addressing, intake: Intake) -> APIRouter:
    """`…/get`, `…/count` and `…/_/distinct/{attr}`."""
    router = APIRouter(prefix=paths.prefix, responses=REFUSED)
    _add_listing(router, services, lookup)
    _add_counts(router, services, lookup)
    _add_bulk(router, services, lookup, intake)
    return router


def _add_listing(router: APIRouter, services: Services, lookup: Lookup) -> None:
    listings = services.reads.listings

    @router.get("/get", response_model=FoundSnapshots)
    def get(etype: str, given: Paged, sort: Sort = (), at: At = None) -> Response:
        """Latest snapshots that match."""
        lookup.etype(etype)
        if at is not None:
            found = listings.as_of(to_us(at), etype, *given, sort)
            return Json(_found(found, {"cursor": found.cursor}))
        found = listings.latest(etype, *given, sort)
        return Json(_found(found, {"total": found.total, "cursor": found.cursor}))


def _add_counts(router: APIRouter, services: Services, lookup: Lookup) -> None:
    reads = services.reads

    @router.get("/count", response_model=TotalCount)
    def count(etype: str, given: Filtered, at: At = None) -> Response:
        """How many latest snapshots match."""
        lookup.etype(etype)
        if at is not None:
            total, truncated = reads.listings.count_as_of(to_us(at), etype, *given)
            return Json({"total_count": total} | ({"truncated": True} if truncated else {}))
        return Json({"total_count": reads.listings.count(etype, *given)})

    @router.get("/_/distinct/{attr}", response_model=dict[str, int])
    def distinct(etype: str, attr: str) -> Response:
        """Each value of an attribute in the latest snapshots, and how often it occurs."""
        lookup.etype(etype)
        return Json(reads.distinct.counts(etype, attr))


def _add_bulk(router: APIRouter, services: Services, lookup: Lookup, intake: Intake) -> None:
    body = Eids.model_json_schema()

    @router.post(
        "/get",
        response_model=FoundSnapshots,
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": body}}}},
    )
    async def get_many(request: Request, etype: str) -> Response:
        """Latest snapshots of the entities with these ids, in their order; those without one are left out."""
        entity = lookup.etype(etype)
        with intake.body(request.scope) as incoming:
            received = await incoming.read(request.receive)
            eids = await intake.decode(_eids, received, entity)
        return await run_in_threadpool(_bulk, entity.id, eids)

    def _bulk(etype: str, eids: list[str]) -> Response:
        return Json(_found(services.reads.listings.by_id(etype, eids), {}))


def _eids(body: Sent, entity: EntitySpec) -> list[str]:
    """The ids in a body as the store knows them, or a refusal with all that is wrong (at most about
    `MAX_ERRORS`)."""
    if len(body) > MAX_EIDS_BYTES:
        raise refused(413, f"the body is larger than {MAX_EIDS_BYTES} bytes; ask for fewer entities at once")
    try:
        given = _parse_eids(parse_json(body)).eids
    except ValidationError as error:
        raise invalid(pydantic_errors(error, ["body"])) from None
    eids, errors = [], Errors()
    for i, eid in enumerate(given):
        try:
            eids.append(str(entity.eid_to_wire(entity.eid_adapter.validate_python(eid))))
        except ValidationError as error:
            errors.add(pydantic_errors(error, ["body", "eids", i]))
        if len(errors) >= MAX_ERRORS:
            errors.add([too_many_errors(["body"], f"what follows id {i} was not checked")])
            break
    if errors:
        raise errors.refusal()
    return eids


def _found(found: Listing, more: dict[str, Any]) -> dict[str, Any]:
    answer = {
        "time_created": None if found.run_time is None else to_datetime(found.run_time),
        "count": len(found.documents),
        "data": found.documents,
        **more,
    }
    return answer | {"truncated": True} if found.truncated else answer
