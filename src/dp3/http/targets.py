"""What a request is about: entity type, entity and attribute, checked against the model."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from fastapi import Depends, Path, Query
from pydantic import ValidationError

from dp3.http.answers import invalid_value
from dp3.model.attrspec import AttrSpecType
from dp3.model.spec import ModelSpec


class Entity(NamedTuple):
    """An entity, whether or not it exists; `eid` in wire form."""

    etype: str
    eid: int | str


class EntityAttr(NamedTuple):
    """An attribute of an entity."""

    entity: Entity
    spec: AttrSpecType


@dataclass(frozen=True, slots=True)
class Lookup:
    """Finds in the model what a request names, or refuses it with the documented error."""

    model: ModelSpec

    def etype(self, etype: str) -> str:
        if etype not in self.model.entities:
            raise invalid_value(["path", "etype"], f"Entity type '{etype}' doesn't exist")
        return etype

    def entity(self, etype: str, eid: str, where: str) -> Entity:
        """`where` the id stands: `path` or `query`."""
        entity = self.model.entity(self.etype(etype))
        try:
            return Entity(etype, entity.parse_eid_text(eid))
        except ValidationError as error:
            message = error.errors()[0]["msg"]
            if str(entity.id_data_type) == "mac":
                message = "Input should be an instance of MACAddress"
            raise invalid_value([where, "eid"], message) from None

    def attr(self, etype: str, attr: str, where: str) -> AttrSpecType:
        spec = self.model.attributes.get((etype, attr))
        if spec is None:
            raise invalid_value([where, "attr"], f"Attribute '{attr}' doesn't exist")
        return spec


@dataclass(frozen=True, slots=True)
class Addressing:
    """How one version of the API names entities: its paths and where entity and attribute come from."""

    prefix: str
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
        entity_paths=("", "/"),
        master_path="/master",
        snapshots_path="/snapshots",
        ttl_path="/ttl",
        get_attr_path="/attr",
        set_attr_path="/attr",
        entity=entity,
        entity_attr=entity_attr,
    )
