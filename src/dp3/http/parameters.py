"""Parameters that several routes have: entity type, entity and attribute, checked against the model; times;
filters, order and part of a listing; the path below a proxy's prefix and the address of the client."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, Path, Query
from pydantic import Json as JsonText
from pydantic import TypeAdapter, ValidationError
from starlette.types import Scope

from dp3.clock import to_us
from dp3.http.answers import invalid, invalid_value, pydantic_errors
from dp3.model.attrspec import AttrSpecType
from dp3.model.durations import AwareDatetime
from dp3.model.entityspec import EntitySpec
from dp3.model.errors import did_you_mean
from dp3.model.spec import ModelSpec
from dp3.reads.listings import Window
from dp3.reads.profiles import Span

Wait = Annotated[bool, Query(description="Answer when the change has been applied, at most 10 s later")]
Moment = Annotated[AwareDatetime | None, Query(description="ISO 8601 or Unix time; without zone it is UTC")]


async def span(date_from: Moment = None, date_to: Moment = None) -> Span:
    """The query parameters `date_from` and `date_to`."""
    return Span(None if date_from is None else to_us(date_from), None if date_to is None else to_us(date_to))


InSpan = Annotated[Span, Depends(span)]


_JSON = {"contentMediaType": "application/json", "contentSchema": {}}

Fulltext = Annotated[
    str | None,
    Query(description='Attribute → regular expression: `{"name": "^web"}`', json_schema_extra=_JSON),
]
Generic = Annotated[
    str | None, Query(description='MongoDB query: `{"last.load": {"$gt": 5}}`', json_schema_extra=_JSON)
]

_decode = TypeAdapter(JsonText[Any]).validate_python


class Filters(NamedTuple):
    """The query parameters that filter snapshots. They stay texts until a thread has its turn with them: an
    object in JSON takes twenty times as much memory."""

    fulltext: str | None
    generic: str | None

    def decoded(self) -> tuple[Any, Any]:
        """Both, None if not given; a refusal with all mistakes."""
        found, errors = [], []
        for name, text in (("fulltext_filters", self.fulltext), ("generic_filter", self.generic)):
            try:
                found.append(None if text is None else _decode(text))
            except ValidationError as error:
                errors.extend(pydantic_errors(error, ["query", name]))
        if errors:
            raise invalid(errors)
        return found[0], found[1]


async def filters(fulltext_filters: Fulltext = None, generic_filter: Generic = None) -> Filters:
    """Both parameters as they were sent."""
    return Filters(fulltext_filters, generic_filter)


async def window(
    skip: Annotated[int, Query(ge=0, lt=1 << 31)] = 0,
    limit: Annotated[int, Query(ge=0, lt=1 << 31, description="0: as many as an answer may have")] = 20,
    cursor: Annotated[str | None, Query(description="Continue after the answer that had this cursor")] = None,
) -> Window:
    """The query parameters that say which part of a listing is wanted."""
    return Window(skip, limit, cursor)


Filtered = Annotated[Filters, Depends(filters)]
Part = Annotated[Window, Depends(window)]
Sort = Annotated[Sequence[str], Query(description="`attribute`, `attribute:1` or `attribute:-1`; repeatable")]


class Entity(NamedTuple):
    """An entity, whether or not it exists; `eid` in wire form."""

    etype: str
    eid: int | str


class EntityAttr(NamedTuple):
    """An attribute of an entity."""

    entity: Entity
    spec: AttrSpecType


class Lookup:
    """Finds in the model what a request names, or refuses it with the documented error."""

    def __init__(self, model: ModelSpec) -> None:
        self._entities = model.entities
        self._attributes = model.attributes

    def etype(self, etype: str) -> EntitySpec:
        entity = self._entities.get(etype)
        if entity is None:
            near = did_you_mean(etype, self._entities)
            raise invalid_value(["path", "etype"], f"Entity type '{etype}' doesn't exist{near}")
        return entity

    def entity(self, etype: str, eid: str, where: str) -> Entity:
        """`where` the id stands: `path` or `query`."""
        entity = self.etype(etype)
        try:
            return Entity(etype, entity.parse_eid_text(eid))
        except ValidationError as error:
            message = error.errors()[0]["msg"]
            if str(entity.id_data_type) == "mac":
                message = "Input should be an instance of MACAddress"
            raise invalid_value([where, "eid"], message) from None

    def attr(self, etype: str, attr: str, where: str) -> AttrSpecType:
        spec = self._attributes.get((etype, attr))
        if spec is None:
            near = did_you_mean(attr, [name for name_of, name in self._attributes if name_of == etype])
            raise invalid_value([where, "attr"], f"Attribute '{attr}' doesn't exist{near}")
        return spec


@dataclass(frozen=True, slots=True)
class Addressing:
    """The paths of one version of the API, and how it finds entity and attribute in a request."""

    prefix: str
    tag: str
    entity_paths: tuple[str, ...]
    master_path: str
    snapshots_path: str
    ttl_path: str
    get_attr_path: str
    set_attr_path: str
    entity: Callable[..., Awaitable[Entity]]
    entity_attr: Callable[..., Awaitable[EntityAttr]]


def v1(lookup: Lookup) -> Addressing:
    """`/entity/{etype}/{eid}/…`"""

    async def entity(etype: str, eid: str) -> Entity:
        return lookup.entity(etype, eid, "path")

    async def entity_attr(entity: Annotated[Entity, Depends(entity)], attr: str) -> EntityAttr:
        return EntityAttr(entity, lookup.attr(entity.etype, attr, "path"))

    return Addressing(
        prefix="/entity/{etype}",
        tag="entities",
        entity_paths=("/{eid}",),
        master_path="/{eid}/master",
        snapshots_path="/{eid}/snapshots",
        ttl_path="/{eid}/ttl",
        get_attr_path="/{eid}/get/{attr}",
        set_attr_path="/{eid}/set/{attr}",
        entity=entity,
        entity_attr=entity_attr,
    )


def v2(lookup: Lookup) -> Addressing:
    """`/v2/entity/{etype}/…?eid=`, for ids with any characters."""

    async def entity(etype: Annotated[str, Path()], eid: Annotated[str, Query()]) -> Entity:
        return lookup.entity(etype, eid, "query")

    async def entity_attr(
        entity: Annotated[Entity, Depends(entity)], attr: Annotated[str, Query()]
    ) -> EntityAttr:
        return EntityAttr(entity, lookup.attr(entity.etype, attr, "query"))

    return Addressing(
        prefix="/v2/entity/{etype}",
        tag="entities v2",
        entity_paths=("", "/"),
        master_path="/master",
        snapshots_path="/snapshots",
        ttl_path="/ttl",
        get_attr_path="/attr",
        set_attr_path="/attr",
        entity=entity,
        entity_attr=entity_attr,
    )


def path_below(root_path: str, path: str) -> str:
    """The path that routing goes by: without the prefix of a proxy, be it there or not."""
    below = path.removeprefix(root_path)
    return below or "/" if below[:1] in ("/", "") else path


def client_address(scope: Scope) -> str:
    """The host that sent the request, as the server sees it."""
    client = scope.get("client")
    return client[0] if client else "unknown"
