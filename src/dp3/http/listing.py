"""Routes about many entities: their latest snapshots, or their values at any moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from pydantic import Json as JsonText
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from dp3.clock import to_datetime, to_us
from dp3.http.answers import Json, invalid, invalid_value, parse_json, pydantic_errors, refused
from dp3.http.intake import Intake
from dp3.http.schemas import INVALID, Detail, FoundSnapshots, TotalCount
from dp3.http.services import Services
from dp3.http.targets import Addressing, Lookup
from dp3.model.durations import AwareDatetime
from dp3.model.spec import ModelSpec
from dp3.reads.as_of import AsOf, SortKeys
from dp3.reads.query.conditions import Condition
from dp3.reads.query.distinct import distinct_counts
from dp3.reads.query.documents import dated_document
from dp3.reads.query.errors import QueryError
from dp3.reads.query.filters import parse_filters
from dp3.reads.query.matching import matcher
from dp3.reads.query.places import Places
from dp3.reads.query.planning import Planner, make_plan
from dp3.reads.query.sorting import SortError, parse_sort
from dp3.reads.snapshots import Listing, Snapshots, Window
from dp3.store.ports.queries import Order

MAX_EIDS = 10_000

At = Annotated[
    AwareDatetime | None,
    Query(description="Values at this moment instead of the latest snapshot; ISO 8601 or Unix time"),
]

REFUSED: dict[int | str, dict[str, Any]] = {
    400: {"model": Detail, "description": "The filter can not be processed"},
    503: {"model": Detail, "description": "The question takes too long"},
    **INVALID,
}


class Filters(NamedTuple):
    """Decoded JSON of both filters, None if not given."""

    fulltext: Any
    generic: Any


async def filters(
    fulltext_filters: Annotated[
        JsonText[Any] | None, Query(description='Attribute → regular expression: `{"name": "^web"}`')
    ] = None,
    generic_filter: Annotated[
        JsonText[Any] | None, Query(description='MongoDB query: `{"last.load": {"$gt": 5}}`')
    ] = None,
) -> Filters:
    """The query parameters that filter snapshots."""
    return Filters(fulltext_filters, generic_filter)


async def window(
    skip: Annotated[int, Query(ge=0, lt=1 << 31)] = 0,
    limit: Annotated[int, Query(ge=0, lt=1 << 31, description="0: as many as an answer may have")] = 20,
    cursor: Annotated[str | None, Query(description="Continue after the answer that had this cursor")] = None,
) -> Window:
    """The query parameters that page."""
    return Window(skip, limit, cursor)


Filtered = Annotated[Filters, Depends(filters)]
Windowed = Annotated[Window, Depends(window)]
Sort = Annotated[Sequence[str], Query(description="`attribute`, `attribute:1` or `attribute:-1`; repeatable")]


class Eids(BaseModel):
    """Ids of entities."""

    eids: list[Any] = Field(max_length=MAX_EIDS)


_parse_eids = TypeAdapter(Eids).validate_python


@dataclass(frozen=True, slots=True)
class Questions:
    """What requests ask, in the terms of the store."""

    model: ModelSpec
    places: Mapping[str, Places]

    def condition(self, etype: str, given: Filters) -> Condition:
        """Both filters as one condition, or the documented refusal."""
        try:
            return parse_filters(self.places[etype], self.model.attribs(etype), *given)
        except QueryError as error:
            raise refused(400, str(error)) from None

    def orders(self, etype: str, sort: Sequence[str]) -> list[Order]:
        """The sort order, or the documented refusal."""
        try:
            return parse_sort(self.model, etype, sort)
        except SortError as error:
            raise invalid_value(["query", "sort"], str(error)) from None

    def sort_keys(self, etype: str, orders: list[Order]) -> SortKeys:
        """The same order, for documents."""
        return [(self._value_of(etype, order.path), order.descending) for order in orders]

    def _value_of(self, etype: str, attr: str) -> Any:
        kind = self.places[etype].find(attr).kind
        return lambda document: None if document.get(attr) is None else kind.of_document(document[attr])

    def eids(self, etype: str, body: bytes) -> list[str]:
        """The ids in a body as the store knows them, or a refusal with all that is wrong."""
        entity = self.model.entity(etype)
        try:
            given = _parse_eids(parse_json(body)).eids
        except ValidationError as error:
            raise invalid(pydantic_errors(error.errors(include_url=False), ["body"])) from None
        eids, errors = [], []
        for i, eid in enumerate(given):
            try:
                eids.append(str(entity.eid_to_wire(entity.eid_adapter.validate_python(eid))))
            except ValidationError as error:
                errors.extend(pydantic_errors(error.errors(include_url=False), ["body", "eids", i]))
        if errors:
            raise invalid(errors)
        return eids


def listing_routes(services: Services, lookup: Lookup, paths: Addressing, intake: Intake) -> APIRouter:
    """`…/get`, `…/count` and `…/_/distinct/{attr}`."""
    router = APIRouter(prefix=paths.prefix, responses=REFUSED)
    questions = Questions(lookup.model, {etype: Places(lookup.model, etype) for etype in lookup.model})
    _add_listing(router, services, lookup, questions)
    _add_counts(router, services, lookup, questions)
    _add_bulk(router, services, lookup, questions, intake)
    return router


def _add_listing(router: APIRouter, services: Services, lookup: Lookup, questions: Questions) -> None:
    snapshots = Snapshots(services.store)
    moments = AsOf(services.store, services.model)
    planner = Planner(dated_document)

    @router.get("/get", response_model=FoundSnapshots)
    def get(etype: str, given: Filtered, part: Windowed, sort: Sort = (), at: At = None) -> Response:
        """Latest snapshots that match."""
        lookup.etype(etype)
        condition, orders = questions.condition(etype, given), questions.orders(etype, sort)
        if at is not None:
            keys = questions.sort_keys(etype, orders)
            found = moments.listing(etype, matcher(condition), keys, part, to_us(at))
            return Json(_found(found, {"cursor": found.cursor}))
        plan = make_plan(planner, condition)
        try:
            found = snapshots.listing(etype, plan, orders, part)
        except ValueError as error:
            raise invalid_value(["query", "cursor"], str(error)) from None
        total = snapshots.total(etype, plan, part, found)
        return Json(_found(found, {"total": total, "cursor": found.cursor}))


def _add_counts(router: APIRouter, services: Services, lookup: Lookup, questions: Questions) -> None:
    snapshots = Snapshots(services.store)
    moments = AsOf(services.store, services.model)
    planner = Planner(dated_document)

    @router.get("/count", response_model=TotalCount)
    def count(etype: str, given: Filtered, at: At = None) -> Response:
        """How many latest snapshots match."""
        lookup.etype(etype)
        condition = questions.condition(etype, given)
        if at is not None:
            total, truncated = moments.count(etype, matcher(condition), to_us(at))
            return Json({"total_count": total} | ({"truncated": True} if truncated else {}))
        return Json({"total_count": snapshots.count(etype, make_plan(planner, condition))})

    @router.get("/_/distinct/{attr}", response_model=dict[str, int])
    def distinct(etype: str, attr: str) -> Response:
        """Each value of an attribute in the latest snapshots, and how often it occurs."""
        lookup.etype(etype)
        try:
            return Json(distinct_counts(services.store, services.model, etype, attr))
        except QueryError as error:
            raise refused(400, str(error)) from None


def _add_bulk(
    router: APIRouter, services: Services, lookup: Lookup, questions: Questions, intake: Intake
) -> None:
    snapshots = Snapshots(services.store)
    body = Eids.model_json_schema()

    @router.post(
        "/get",
        response_model=FoundSnapshots,
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": body}}}},
    )
    async def get_many(request: Request, etype: str) -> Response:
        """Latest snapshots of the entities with these ids, in their order; those without one are left out."""
        lookup.etype(etype)
        with intake.body(request.scope) as incoming:
            received = await incoming.read(request.receive)
        return await run_in_threadpool(_bulk, received, etype)

    def _bulk(received: bytes, etype: str) -> Response:
        return Json(_found(snapshots.latest(etype, questions.eids(etype, received)), {}))


def _found(found: Listing, more: dict[str, Any]) -> dict[str, Any]:
    answer = {
        "time_created": None if found.run_time is None else to_datetime(found.run_time),
        "count": len(found.documents),
        "data": found.documents,
        **more,
    }
    return answer | {"truncated": True} if found.truncated else answer
