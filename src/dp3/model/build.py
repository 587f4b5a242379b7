"""Building the specifications of a model, collecting every mistake on the way."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from dp3.model.attrspec import (
    AttrSpecClassic,
    AttrSpecReadOnly,
    AttrSpecType,
    ObservationsHistoryParams,
    TimeseriesSeries,
    TimeseriesTSParams,
    spec_class,
)
from dp3.model.entityspec import EntitySpec, WeakLifetime, entity_context
from dp3.model.errors import SpecError, did_you_mean, shown, spec_errors

Path = tuple[str, ...]
T = TypeVar("T", bound=BaseModel)

_LENIENT: Mapping[str, type[BaseModel]] = {
    "history_params": ObservationsHistoryParams,
    "timeseries_params": TimeseriesTSParams,
}


_TAKEN: Mapping[str, str] = {
    "eid": "the id of the entity",
    "_time_created": "the time of its run",
}
"""Keys of every snapshot, which an attribute of that name would hide."""

_READ_OTHERWISE: Mapping[str, str] = {
    "_id": "`_id` is the id of the entity; write `last._id` for the attribute",
    "last": "`last.x` is the attribute `x`; write `last.last` for the attribute",
}
"""Names of attributes that filters understand as something else."""

_STAND_IN = EntitySpec(id="invalid", name="", snapshot=False)
"""Takes the place of an invalid entity type so that its attributes and links to it are checked too."""


class Builder:
    """Turns raw configuration into specifications.

    All entity types come first (links need the type of their target's ids), then all attributes, then mirrors
    and what concerns several types. `errors` and `notes` hold what was found; nothing is raised.
    """

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._raw = raw
        self.errors: list[SpecError] = []
        self.notes: list[SpecError] = []
        self.entities: dict[str, EntitySpec] = {}
        self.attributes: dict[str, dict[str, AttrSpecType]] = {}

    def build(self) -> None:
        """Do all steps."""
        for etype, spec in self._raw.items():
            self._entity(etype, spec)
        for etype, entity in self.entities.items():
            self._attributes(etype, entity)
        for etype, attr, spec in list(self._relations()):
            self._mirror(etype, attr, spec)
        self._weak_types()

    def _entity(self, etype: str, spec: Any) -> None:
        if not isinstance(spec, Mapping) or "entity" not in spec or "attribs" not in spec:
            self._error((etype,), f"Invalid entity specification for '{etype}': {_top_level(spec)}")
            return
        entity = self._validated((etype, "entity"), EntitySpec, spec["entity"])
        if entity is not None and entity.id != etype:
            message = f"Entity id '{etype}' does not match entity id '{entity.id}' in spec."
            self._error((etype, "entity", "id"), message)
        self.entities[etype] = entity or _STAND_IN

    def _attributes(self, etype: str, entity: EntitySpec) -> None:
        attribs = self._raw[etype]["attribs"]
        made = self.attributes[etype] = {}
        if not isinstance(attribs, Mapping | None):
            self._error((etype, "attribs"), f"Attributes must be a mapping, got {shown(attribs)}")
            return
        with entity_context(entity, self.entities):
            for attr, raw in (attribs or {}).items():
                spec = self._attribute((etype, "attribs", attr), raw)
                if spec is not None:
                    made[attr] = spec

    def _attribute(self, path: Path, raw: Any) -> AttrSpecType | None:
        if not isinstance(path[-1], str):
            self._error(path, f"Attribute id must be text, got {path[-1]!r}: put it in quotes")
            return None
        if not isinstance(raw, Mapping):
            self._error(path, f"Attribute specification must be a mapping, got {shown(raw)}")
            return None
        try:
            cls = spec_class(raw)
        except ValueError as error:
            self._error((*path, "type"), str(error))
            return None
        self._check_name(path, path[-1])
        self._note_unknown(path, raw)
        return self._validated(path, cls, {**raw, "id": path[-1]})

    def _check_name(self, path: Path, name: str) -> None:
        """Refuse or note the name of an attribute, or of a mirror, that the setting at `path` chooses."""
        if name in _TAKEN:
            message = f"'{name}' is a key of every snapshot: {_TAKEN[name]}. Choose another name."
            self._error(path, message)
        elif name in _READ_OTHERWISE:
            message = f"'{name}' has another meaning in filters: {_READ_OTHERWISE[name]}"
            self.notes.append(SpecError(path, message))

    def _validated(self, path: Path, cls: type[T], raw: Any) -> T | None:
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            self.errors += spec_errors(path, cls, error)
            return None

    def _note_unknown(self, path: Path, raw: Mapping[str, Any]) -> None:
        for section, cls in _LENIENT.items():
            self._note_other_keys((*path, section), raw.get(section), cls)
        series = raw.get("series")
        for name, keys in series.items() if isinstance(series, Mapping) else ():
            self._note_other_keys((*path, "series", str(name)), keys, TimeseriesSeries)

    def _note_other_keys(self, path: Path, keys: Any, cls: type[BaseModel]) -> None:
        for key in keys if isinstance(keys, Mapping) else ():
            if key not in cls.model_fields:
                near = did_you_mean(key, cls.model_fields)
                self.notes.append(SpecError((*path, str(key)), f"Unknown key '{key}'{near}"))

    def _relations(self) -> Iterator[tuple[str, str, AttrSpecClassic]]:
        for etype, attribs in self.attributes.items():
            for attr, spec in attribs.items():
                if isinstance(spec, AttrSpecClassic) and spec.is_relation:
                    yield etype, attr, spec

    def _mirror(self, etype: str, attr: str, spec: AttrSpecClassic) -> None:
        name, target = spec.mirror_as, spec.relation_to
        place = (etype, "attribs", attr, "data_type")
        if name is None:
            return
        if name in (self._raw[target]["attribs"] or ()) or name in self.attributes[target]:
            message = (
                f"'{target}.{name}' is a mirrored attribute, but already exists in configuration. "
                "Mirrored attributes are defined implicitly, remove the definition."
            )
            self._error(place, message)
            return
        self._check_name(place, name)
        with entity_context(self.entities[target], self.entities):
            self.attributes[target][name] = AttrSpecReadOnly.model_validate(
                {
                    "id": name,
                    "name": name,
                    "description": f"Read-only mirror attribute of {etype}.{attr}",
                    "data_type": f"set<link<{etype}>>",
                }
            )

    def _weak_types(self) -> None:
        if any("attribs" in error.path for error in self.errors):
            return  # the missing reference may be one of the invalid attributes
        referenced = {spec.relation_to for _, _, spec in self._relations() if not _is_mirror(spec)}
        for etype, entity in self.entities.items():
            if isinstance(entity.lifetime, WeakLifetime) and etype not in referenced:
                message = f"Entity {etype} has weak lifetime but is not referenced by any other entities."
                self._error((etype, "entity", "lifetime"), message)

    def _error(self, path: Path, message: str) -> None:
        self.errors.append(SpecError(tuple(map(str, path)), message))


def _is_mirror(spec: AttrSpecClassic) -> bool:
    return isinstance(spec, AttrSpecReadOnly)


def _top_level(spec: Any) -> str:
    if not isinstance(spec, Mapping):
        return f"expected the keys 'entity' and 'attribs', got {shown(spec)}"
    return f"expected the keys 'entity' and 'attribs', got {', '.join(map(repr, spec)) or 'none'}"
