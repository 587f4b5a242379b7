"""Routes about many entities: their latest snapshots, or their values at any moment."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json
from starlette.responses import Response

from dp3.clock import to_datetime, to_us
from dp3.http.answers import (
    MAX_ERRORS,
    Errors,
    Json,
    invalid,
    json_invalid,
    parse_json,
    pydantic_errors,
    too_many_errors,
)
from dp3.http.intake import Bodies
from dp3.http.parameters import Addressing, Filtered, Lookup, Part, Sort
from dp3.http.pieces import InvalidJson, Sent
from dp3.http.schemas import INVALID, Detail, FoundSnapshots, TotalCount, request_body
from dp3.http.services import Services
from dp3.model.durations import AwareDatetime
from dp3.model.entityspec import EntitySpec
from dp3.reads.listings import Listing, Listings, Window

MAX_EIDS = 10_000

At = Annotated[
    AwareDatetime | None,
    Query(description="Values at this moment instead of the latest snapshot; ISO 8601 or Unix time"),
]

REFUSED: dict[int | str, dict[str, Any]] = {
    400: {"model": Detail, "description": "The filter can not be processed"},
    503: {"model": Detail, "description": "It takes too long, or (with `Retry-After`) too many ask"},
    **INVALID,
}


MAX_QUESTION = 4 << 20
"""Bytes of a question in a body: ten thousand texts of 400 characters."""

MAX_QUESTIONS = 64 << 20
"""Bytes of all such bodies in memory. They take nothing of what writers may send."""


class Eids(BaseModel):
    """Ids of entities."""

    model_config = ConfigDict(extra="forbid")
    eids: list[Any] = Field(max_length=MAX_EIDS)


class CountBody(BaseModel):
    """The query parameters of `GET …/count`, as JSON."""

    model_config = ConfigDict(extra="forbid")
    fulltext_filters: Any = Field(None, examples=[{"name": "^web"}])
    generic_filter: Any = Field(None, examples=[{"last.load": {"$gt": 5}}])
    at: AwareDatetime | None = None


class PageBody(CountBody):
    """The query parameters of `GET …/get`, as JSON."""

    skip: int = Field(0, ge=0, lt=1 << 31)
    limit: int = Field(20, ge=0, lt=1 << 31)
    cursor: str | None = None
    sort: str | list[str] = Field(default_factory=list, examples=[["load:-1", "eid"]])


Body = TypeVar("Body", bound=BaseModel)


def listing_routes(services: Services, lookup: Lookup, paths: Addressing, questions: Bodies) -> APIRouter:
    """`…/get`, `…/count` and `…/_/distinct/{attr}`."""
    router = APIRouter(prefix=paths.prefix, tags=[paths.tag], responses=REFUSED)
    _add_listing(router, services, lookup)
    _add_counts(router, services, lookup)
    _add_bodies(router, services, lookup, questions)
    return router


def _add_listing(router: APIRouter, services: Services, lookup: Lookup) -> None:
    @router.get("/get", response_model=FoundSnapshots)
    @services.pools.queries.serves
    def get_latest_snapshots(
        etype: str, given: Filtered, part: Part, sort: Sort = (), at: At = None
    ) -> Response:
        """Latest snapshots that match."""
        filters = given.decoded()
        lookup.etype(etype)
        return _page(services, etype, (*filters, part), sort, at)


def _add_counts(router: APIRouter, services: Services, lookup: Lookup) -> None:
    reads, queries = services.reads, services.pools.queries.serves

    @router.get("/count", response_model=TotalCount)
    @queries
    def get_snapshot_count(etype: str, given: Filtered, at: At = None) -> Response:
        """The number of latest snapshots that match."""
        filters = given.decoded()
        lookup.etype(etype)
        return _count(reads.listings, etype, filters, at)

    @router.get("/_/distinct/{attr}", response_model=dict[str, int])
    @queries
    def get_distinct_values(etype: str, attr: str) -> Response:
        """Each value of an attribute in the latest snapshots, and how often it occurs."""
        lookup.etype(etype)
        return services.rendering.counted(etype, attr, reads.distinct.counts(etype, attr))


def _add_bodies(router: APIRouter, services: Services, lookup: Lookup, questions: Bodies) -> None:
    listings, queries = services.reads.listings, services.pools.queries

    @router.post(
        "/get",
        response_model=FoundSnapshots,
        openapi_extra=request_body(PageBody, Eids),
    )
    async def find_latest_snapshots(request: Request, etype: str) -> Response:
        """Latest snapshots that match, for questions that are too long for a URL; or those of the entities
        with these ids, in their order, without those that have none."""
        entity = lookup.etype(etype)
        with questions.body(request.scope) as incoming:
            received = await incoming.read(request.receive)
            return await queries.answer(request, _page_by_body, services, entity, received)

    @router.post("/count", response_model=TotalCount, openapi_extra=request_body(CountBody))
    async def count_snapshots(request: Request, etype: str) -> Response:
        """The number of latest snapshots that match, for questions that are too long for a URL."""
        lookup.etype(etype)
        with questions.body(request.scope) as incoming:
            received = await incoming.read(request.receive)
            return await queries.answer(request, _count_by_body, listings, etype, received)


def _page_by_body(services: Services, entity: EntitySpec, body: Sent) -> Response:
    sent = _decoded(body)
    if isinstance(sent, dict) and not sent.keys().isdisjoint(PageBody.model_fields):
        asked = _checked(PageBody, sent)
        window = Window(asked.skip, asked.limit, asked.cursor)
        sort = [asked.sort] if isinstance(asked.sort, str) else asked.sort
        given = asked.fulltext_filters, asked.generic_filter, window
        return _page(services, entity.id, given, sort, asked.at)
    eids = _eids(entity, _checked(Eids, sent).eids)
    return _found(services, entity.id, services.reads.listings.by_id(entity.id, eids), {})


def _count_by_body(listings: Listings, etype: str, body: Sent) -> Response:
    asked = _checked(CountBody, _decoded(body))
    return _count(listings, etype, (asked.fulltext_filters, asked.generic_filter), asked.at)


def _decoded(body: Sent) -> Any:
    """The body as query parameters are decoded, which takes less than the standard library does."""
    try:
        return from_json(body)
    except ValueError as error:
        parse_json(body)
        raise json_invalid(body, InvalidJson(0, str(error))) from None


def _checked(model: type[Body], sent: Any) -> Body:
    try:
        return model.model_validate(sent)
    except ValidationError as error:
        raise invalid(pydantic_errors(error, ["body"])) from None


def _eids(entity: EntitySpec, given: Sequence[Any]) -> list[str]:
    """The ids as the store knows them, or a refusal with all that is wrong (at most about `MAX_ERRORS`)."""
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


def _page(
    services: Services,
    etype: str,
    given: tuple[Any, Any, Window],
    sort: Sequence[str],
    at: datetime | None,
) -> Response:
    listings = services.reads.listings
    if at is not None:
        found = listings.as_of(to_us(at), etype, *given, sort)
        return _found(services, etype, found, {"cursor": found.cursor})
    found = listings.latest(etype, *given, sort)
    return _found(services, etype, found, {"total": found.total, "cursor": found.cursor})


def _count(listings: Listings, etype: str, given: tuple[Any, Any], at: datetime | None) -> Response:
    if at is not None:
        total, truncated = listings.count_as_of(to_us(at), etype, *given)
        return Json({"total_count": total} | ({"truncated": True} if truncated else {}))
    return Json({"total_count": listings.count(etype, *given)})


def _found(services: Services, etype: str, found: Listing, more: dict[str, Any]) -> Response:
    rendering = services.rendering
    answer = {
        "time_created": None if found.run_time is None else to_datetime(found.run_time),
        "count": len(found.documents),
        "data": found.documents,
        **more,
    }
    if found.truncated:
        answer["truncated"] = True
    return rendering.json(answer, {"data": rendering.snapshot(etype)})
