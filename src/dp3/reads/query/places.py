"""Places in snapshots that filters speak of: `last.load`, `load`, `peer.eid`, `position.x`, `eid`."""

from dataclasses import dataclass, replace
from enum import Enum

from dp3.engine.jobs.snapshots.doc import CONFIDENCE
from dp3.model.attrspec import AttrSpecClassic, AttrSpecObservations
from dp3.model.spec import ModelSpec
from dp3.model.type_text import DictOf, LinkTo, ListOf, OneOf, Primitive, TypeExpr
from dp3.reads.query.kinds import ANY, Kind, kinds_by_type

PREFIX = "last."
"""The reference implementation keeps the snapshot under this key; with and without it is the same."""

TIME_CREATED = "_time_created"

Steps = tuple[str, ...]


class Indexed(Enum):
    """The part of the values at a place that the index of current values has."""

    NO = "nothing"
    ONE = "the value, of the declared type"
    MANY = "each element of the list, of the declared type"
    FREE = "all scalars there, also those of nested lists, as JSON"


@dataclass(frozen=True, slots=True)
class Place:
    """`path` names the place in the whole snapshot, `steps` lead to it from the document (or the element of a
    list) that a condition is about; `attribute` (or what a module has set under such a name) is where they
    begin. `is_id`: the id of an entity stands there. `root`: where the JSON begins in which the place is, and
    in which anything may stand; None outside of JSON."""

    path: str
    attribute: str
    steps: Steps
    kind: Kind
    indexed: Indexed = Indexed.NO
    is_id: bool = False
    root: str | None = None


class Places:
    """The places of one entity type's snapshots. `relations`: its attributes that are links."""

    def __init__(self, model: ModelSpec, etype: str) -> None:
        self._entities = model.entities
        self._attribs = model.attribs(etype)
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

        Every name is a place: modules may add values under any name. `_id` is the entity's id, with
        the prefix only if no attribute is called so."""
        if inside is not None:
            return replace(self.at(f"{inside.path}.{name}"), steps=tuple(name.split(".")))
        path = name.removeprefix(PREFIX)
        if path == "_id" and (name == path or path not in self._attribs):
            return self._eid
        return self.at(path)

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
            return _place(steps, self._kinds["float"])
        spec = self._attribs.get(first)
        if not isinstance(spec, AttrSpecClassic):
            return _json(steps, 1, Indexed.FREE)
        multi_value = isinstance(spec, AttrSpecObservations) and spec.multi_value
        indexed = Indexed.MANY if multi_value else Indexed.ONE
        return self._inside(spec.data_type.expr, steps, 1, indexed, in_list=multi_value)

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
        return _place(steps, kind, indexed) if at == len(steps) else _place(steps, ANY)

    def _part(self, expr: LinkTo | DictOf, steps: Steps, at: int, indexed: Indexed) -> Place:
        if at == len(steps):
            return _place(steps, ANY)
        name = steps[at]
        if isinstance(expr, DictOf):
            types = {key.name: key.type for key in expr.keys}
            if name in types:
                return self._inside(types[name], steps, at + 1, indexed, in_list=False)
        elif name == "eid" and at + 1 == len(steps):
            eid = self._kinds[str(self._entities[expr.etype].id_data_type)]
            return _place(steps, eid, indexed, is_id=True)
        elif name == "data" and expr.data is not None:
            return self._inside(expr.data, steps, at + 1, indexed, in_list=False)
        return _place(steps, ANY)


def _place(steps: Steps, kind: Kind, indexed: Indexed = Indexed.NO, *, is_id: bool = False) -> Place:
    return Place(".".join(steps), steps[0], steps, kind, indexed, is_id)


def _json(steps: Steps, at: int, indexed: Indexed) -> Place:
    """A place in JSON that begins after `at` of the steps."""
    return Place(".".join(steps), steps[0], steps, ANY, indexed, root=".".join(steps[:at]))
