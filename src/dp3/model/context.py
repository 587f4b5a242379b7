"""Which entity types data types may link to while specifications are being validated."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dp3.model.entityspec import EntitySpec


@dataclass(frozen=True, slots=True)
class EntityContext:
    """`entity_spec` is the entity type whose attributes are being built, `entities` are all of them."""

    entity_spec: "EntitySpec | None" = None
    entities: "Mapping[str, EntitySpec]" = field(default_factory=dict)


_current: ContextVar[EntityContext] = ContextVar("dp3_entity_context")


@contextmanager
def entity_context(self_spec: "EntitySpec | None", entities: "Mapping[str, EntitySpec]") -> Iterator[None]:
    """Let data types and attribute specifications built inside link to `entities`."""
    token = _current.set(EntityContext(self_spec, entities))
    try:
        yield
    finally:
        _current.reset(token)


def get_entity_context() -> dict[str, Any]:
    """The innermost `entity_context` as `{"self": …, "entities": …}`; `ValueError` outside of one."""
    context = _current.get(None)
    if context is None:
        raise ValueError("Missing entity context: build the specification inside `with entity_context(…)`")
    return {"self": context.entity_spec, "entities": context.entities}


def linkable_entities() -> "Mapping[str, EntitySpec]":
    """The entity types of the innermost context; none outside of one."""
    return _current.get(EntityContext()).entities
