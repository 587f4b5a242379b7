"""The model: all entity types and attributes of an application."""

from collections.abc import ItemsView, Iterator, KeysView, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from dp3.model.attrspec import AttrSpecClassic, AttrSpecReadOnly, AttrSpecType
from dp3.model.build import Builder
from dp3.model.entityspec import AnyEidT, EntitySpec, entity_context
from dp3.model.errors import ModelSpecError, SpecError


@dataclass(frozen=True, slots=True)
class EntitySpecDict:
    """One entity type with its attributes, also by `["entity"]` and `["attribs"]`."""

    entity: EntitySpec
    attribs: dict[str, AttrSpecType]
    source: Mapping[str, Any] = field(repr=False, compare=False)

    def __getitem__(self, key: str) -> Any:
        if key in ("entity", "attribs"):
            return getattr(self, key)
        raise KeyError(key)


class ModelSpec:
    """The entity types and attributes of an application, checked and compiled.

    `config` maps entity type to `{"entity": {…}, "attribs": {…}}` as read from the configuration; it is not
    changed. Raises `ModelSpecError` with every mistake in it.
    """

    config: dict[str, EntitySpecDict]
    entities: dict[str, EntitySpec]
    attributes: dict[tuple[str, str], AttrSpecType]
    entity_attributes: dict[str, dict[str, AttrSpecType]]
    relations: dict[tuple[str, str], AttrSpecClassic]
    notes: tuple[SpecError, ...]
    """Settings without effect: not errors, but worth a message."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        raw = {etype: _source(spec) for etype, spec in config.items()}
        builder = Builder(raw)
        builder.build()
        if builder.errors:
            raise ModelSpecError(builder.errors)
        self.entities = builder.entities
        self.entity_attributes = builder.attributes
        self.notes = tuple(builder.notes)
        self.config = {
            etype: EntitySpecDict(entity, self.entity_attributes[etype], raw[etype])
            for etype, entity in self.entities.items()
        }
        self.attributes = {
            (etype, attr): spec
            for etype, attribs in self.entity_attributes.items()
            for attr, spec in attribs.items()
        }
        self.relations = {
            key: spec
            for key, spec in self.attributes.items()
            if isinstance(spec, AttrSpecClassic)
            and spec.is_relation
            and not isinstance(spec, AttrSpecReadOnly)
        }

    def attr(self, etype: str, attr: str) -> AttrSpecType:
        """The specification of an attribute; `KeyError` if unknown."""
        return self.attributes[etype, attr]

    def attribs(self, etype: str) -> dict[str, AttrSpecType]:
        """All attributes of an entity type; `KeyError` if unknown."""
        return self.entity_attributes[etype]

    def entity(self, etype: str) -> EntitySpec:
        """The specification of an entity type; `KeyError` if unknown."""
        return self.entities[etype]

    def parse_eid(self, etype: str, eid: Any) -> AnyEidT:
        """The typed id of an entity; `KeyError` for an unknown type, `ValueError` for a wrong id."""
        return self.entities[etype].validate_eid(eid)

    def items(self) -> ItemsView[str, EntitySpecDict]:
        """Entity types and what belongs to them."""
        return self.config.items()

    def keys(self) -> KeysView[str]:
        """The entity types."""
        return self.config.keys()

    def __contains__(self, etype: object) -> bool:
        return etype in self.config

    def __iter__(self) -> Iterator[str]:
        return iter(self.config)

    def __getitem__(self, etype: str) -> EntitySpecDict:
        return self.config[etype]

    def __setitem__(self, etype: str, spec: EntitySpecDict) -> None:
        self.config[etype] = spec

    def __repr__(self) -> str:
        return f"ModelSpec({','.join(self.config)})"


def _source(spec: Any) -> Any:
    """The configuration itself, also when the result of an earlier model is given."""
    return spec.source if isinstance(spec, EntitySpecDict) else spec


@contextmanager
def entity_type_context(model_spec: ModelSpec) -> Iterator[None]:
    """Let data types built inside link to the entity types of the model."""
    with entity_context(None, model_spec.entities):
        yield
