"""Places in snapshots that filters speak of: `last.load`, `load`, `peer.eid`, `position.x`, `eid`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType

from dp3.engine.jobs.snapshots.doc import CONFIDENCE
from dp3.model.attrspec import AttrSpecClassic, AttrSpecObservations
from dp3.model.spec import ModelSpec
from dp3.model.type_text import DictOf, LinkTo, ListOf, OneOf, Primitive, TypeExpr
from dp3.reads.query.kinds import ANY, Kind, kinds_by_type

PREFIX = "last."
"""The reference implementation keeps the snapshot under this key; with and without it is the same."""

TIME_CREATED = "_time_created"

CONSTANTS: Mapping[str, bool] = MappingProxyType({"latest": True, "oversized": False})
"""Fields that the reference implementation keeps beside the snapshot: a filter sees only the latest one of an
entity, and none is too large."""

MAX_SHOWN = 80
"""Characters of a name in a message."""

Steps = tuple[str, ...]


class Indexed(Enum):
    """The part of the values at a place that the index of current values has."""

    NO = "nothing"
    ONE = "the value, of the declared type"
    MANY = "each element of the list, of the declared type"
    FREE = "all scalars there, also those of nested lists, as JSON"


@dataclass(frozen=True, slots=True)
class Doubt:
    """The reason why by the model nothing is at a place; `name` stands where one of `known` might, and
    `is_attribute` if that is where names of attributes are. Not `refused`: the name is right, only snapshots
    have nothing of it."""

    reason: str
    name: str
    known: tuple[str, ...] = ()
    is_attribute: bool = False
    refused: bool = True


@dataclass(frozen=True, slots=True)
class Place:
    """`path` names the place in the whole snapshot, `steps` lead to it from the document (or the element of a
    list) that a condition is about; `attribute` (or what a module has set under such a name) is where they
    begin. `is_id`: the id of an entity stands there. `root`: where the JSON begins in which the place is, and
    in which anything may stand; None outside of JSON. `constant`: the value that all documents have there,
    though they do not show it. `doubt`: nothing is there unless a module has set it."""

    path: str
    attribute: str
    steps: Steps
    kind: Kind
    indexed: Indexed = Indexed.NO
    is_id: bool = False
    root: str | None = None
    constant: bool | None = None
    doubt: Doubt | None = None


class Places:
    """The places of one entity type's snapshots. `relations`: its attributes that are links."""

    def __init__(self, model: ModelSpec, etype: str) -> None:
        self._entities = model.entities
        self._attribs = model.attribs(etype)
        self._etype = etype
        self.relations = {
            attr
            for attr, spec in self._attribs.items()
            if isinstance(spec, AttrSpecClassic) and spec.is_relation
        }
        self._kinds = kinds_by_type()
        eid = self._kinds[str(model.entity(etype).id_data_type)]
        self._eid = Place("eid", "eid", ("eid",), eid, Indexed.ONE, is_id=True)

    def find(self, name: str, inside: Place | None = None) -> Place:
        """The place that a filter calls `name`; in `$elemMatch`, seen from an element of the list `inside`.

        Every name is a place: modules may add values under any name."""
        if inside is not None:
            return replace(self.at(f"{inside.path}.{name}"), steps=tuple(name.split(".")))
        if name in CONSTANTS and name not in self._attribs:
            return Place(name, name, (name,), ANY, constant=CONSTANTS[name])
        return self.at(self.path(name))

    def path(self, name: str) -> str:
        """The path of what a filter calls `name`. `_id` is the entity's id, with the prefix only if no
        attribute is called so."""
        path = name.removeprefix(PREFIX)
        is_id = path == "_id" and (name == path or path not in self._attribs)
        return self._eid.path if is_id else path

    def at(self, path: str) -> Place:
        """The place at a path in the snapshot: the name of an attribute is nothing else here."""
        if path == self._eid.path:
            return self._eid
        steps = tuple(path.split("."))
        place = self._resolve(steps)
        if place.indexed is Indexed.FREE and any(step.isdecimal() or not step for step in steps):
            return replace(place, indexed=Indexed.NO)  # the number of an element or a key of an object
        return place

    def _resolve(self, steps: Steps) -> Place:
        first = steps[0]
        if first == TIME_CREATED and len(steps) == 1:
            return _place(steps, self._kinds["time"])
        if first.endswith(CONFIDENCE):
            return replace(_place(steps, self._kinds["float"]), doubt=self._doubt_of_confidence(first))
        spec = self._attribs.get(first)
        if not isinstance(spec, AttrSpecClassic):
            return replace(_json(steps, 1, Indexed.FREE), doubt=self._doubt_of_attribute(first))
        multi_value = isinstance(spec, AttrSpecObservations) and spec.multi_value
        indexed = Indexed.MANY if multi_value else Indexed.ONE
        return self._inside(spec.data_type.expr, steps, 1, indexed, in_list=multi_value)

    def _doubt_of_attribute(self, name: str) -> Doubt:
        if name in self._attribs:
            reason = f"attribute '{name}' is a timeseries, of which snapshots have nothing"
            return Doubt(reason, name, refused=False)
        known = (*self._attribs, "eid", "_id", TIME_CREATED, *CONSTANTS)
        return Doubt(f"'{self._etype}' has no attribute '{name[:MAX_SHOWN]}'", name, known, is_attribute=True)

    def _doubt_of_confidence(self, name: str) -> Doubt | None:
        known = [attr for attr, spec in self._attribs.items() if isinstance(spec, AttrSpecObservations)]
        attr = name.removesuffix(CONFIDENCE)
        if attr in known:
            return None
        names = tuple(attr + CONFIDENCE for attr in known)
        return Doubt(
            f"'{self._etype}' has no observations '{attr[:MAX_SHOWN]}' with a confidence", name, names
        )

    def _inside(self, expr: TypeExpr, steps: Steps, at: int, indexed: Indexed, *, in_list: bool) -> Place:
        """The place in a value of type `expr`, to which `at` of the steps lead. `in_list`: it is itself an
        element of a list."""
        if in_list and at < len(steps) and steps[at].isdecimal():
            return self._inside(expr, steps, at + 1, Indexed.NO, in_list=False)
        if isinstance(expr, ListOf):
            nested = in_list or indexed is Indexed.NO
            of_elements = Indexed.NO if nested else Indexed.MANY
            return self._inside(expr.elem, steps, at, of_elements, in_list=True)
        if isinstance(expr, OneOf):
            expr = expr.type
        if isinstance(expr, Primitive):
            return self._primitive(expr, steps, at, indexed)
        return self._part(expr, steps, at, indexed)

    def _primitive(self, expr: Primitive, steps: Steps, at: int, indexed: Indexed) -> Place:
        kind = self._kinds[expr.name]
        if kind is ANY:
            return _json(steps, at, indexed if indexed is Indexed.NO else Indexed.FREE)
        return _place(steps, kind, indexed) if at == len(steps) else _no_part(steps, at, ())

    def _part(self, expr: LinkTo | DictOf, steps: Steps, at: int, indexed: Indexed) -> Place:
        if at == len(steps):
            return _place(steps, ANY)
        name = steps[at]
        if isinstance(expr, DictOf):
            types = {key.name: key.type for key in expr.keys}
            if name in types:
                return self._inside(types[name], steps, at + 1, indexed, in_list=False)
            return _no_part(steps, at, tuple(types))
        if name == "eid" and at + 1 == len(steps):
            eid = self._kinds[str(self._entities[expr.etype].id_data_type)]
            return _place(steps, eid, indexed, is_id=True)
        if name == "data" and expr.data is not None:
            return self._inside(expr.data, steps, at + 1, indexed, in_list=False)
        return _no_part(steps, at, ("eid",) if expr.data is None else ("eid", "data"))


def _place(steps: Steps, kind: Kind, indexed: Indexed = Indexed.NO, *, is_id: bool = False) -> Place:
    return Place(".".join(steps), steps[0], steps, kind, indexed, is_id)


def _no_part(steps: Steps, at: int, known: tuple[str, ...]) -> Place:
    """A place in a value whose type has no such part. `known`: those that it has."""
    whole, name = ".".join(steps[:at]), steps[at]
    parts = f"only {' and '.join(known)}" if known else "no parts"
    reason = f"'{whole}' has no part '{name[:MAX_SHOWN]}', {parts}"
    return replace(_place(steps, ANY), doubt=Doubt(reason, name, known))


def _json(steps: Steps, at: int, indexed: Indexed) -> Place:
    """A place in JSON that begins after `at` of the steps."""
    return Place(".".join(steps), steps[0], steps, ANY, indexed, root=".".join(steps[:at]))
