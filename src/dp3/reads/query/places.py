"""Places in snapshots that filters speak of: `last.load`, `load`, `peer.eid`, `position.x`, `eid`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

from dp3.engine.jobs.snapshots.doc import CONFIDENCE
from dp3.model.attrspec import AttrSpecClassic, AttrSpecObservations
from dp3.model.spec import ModelSpec
from dp3.model.type_text import DictOf, LinkTo, ListOf, OneOf, Primitive, TypeExpr
from dp3.reads.query.kinds import ANY, Kind, kinds_by_type

PREFIX = "last."
"""The reference implementation keeps the snapshot under this key; with and without it is the same."""

TIME_CREATED = "_time_created"


class Indexed(Enum):
    """What the index of current values knows of a place."""

    NO = "nothing"
    ONE = "the value, of the declared type"
    MANY = "each element of the list, of the declared type"
    FREE = "all scalars there, also those of nested lists, as JSON"


@dataclass(frozen=True, slots=True)
class Place:
    """`path` names the place in the whole snapshot, `steps` lead to it from the document (or the element of a
    list) that a condition is about. `is_id`: the id of an entity stands there. `is_free`: in JSON, where
    anything may stand; `root` is where that begins."""

    path: str
    steps: tuple[str, ...]
    kind: Kind
    indexed: Indexed
    is_id: bool = False
    is_free: bool = False
    root: str = ""

    @property
    def attribute(self) -> str:
        """The name of the attribute, or of what a module has set."""
        return self.path.partition(".")[0]


class _Found(NamedTuple):
    kind: Kind
    indexed: Indexed
    is_id: bool = False
    is_free: bool = False
    root: int = 0
    """So many of the last steps lead on from the root."""


_UNKNOWN = _Found(ANY, Indexed.NO)


class Places:
    """The places of one entity type's snapshots."""

    def __init__(self, model: ModelSpec, etype: str) -> None:
        self._entities = model.entities
        self._attribs = model.attribs(etype)
        self._kinds = kinds_by_type()
        self._eid = self._kinds[str(model.entity(etype).id_data_type)]

    def find(self, name: str, inside: Place | None = None) -> Place:
        """The place that a filter calls `name`; in `$elemMatch`, seen from an element of the list `inside`.

        Every name is a place: modules may add values under any name."""
        if inside is not None:
            steps = tuple(name.split("."))
            whole = self.find(f"{inside.path}.{name}")
            return replace(whole, steps=steps)
        path = name.removeprefix(PREFIX)
        steps = ("eid",) if path == "_id" else tuple(path.split("."))
        if steps == ("eid",):
            return Place("eid", steps, self._eid, Indexed.ONE, is_id=True)
        kind, indexed, is_id, is_free, below = self._resolve(steps)
        if indexed is Indexed.FREE and any(step.isdecimal() or not step for step in steps):
            indexed = Indexed.NO  # the number of an element or a key of an object
        return Place(
            ".".join(steps), steps, kind, indexed, is_id, is_free, ".".join(steps[: len(steps) - below])
        )

    def _resolve(self, steps: Sequence[str]) -> _Found:
        first, rest = steps[0], steps[1:]
        if first == TIME_CREATED and not rest:
            return _Found(self._kinds["time"], Indexed.NO)
        if first.endswith(CONFIDENCE):
            return _Found(self._kinds["float"], Indexed.NO)
        spec = self._attribs.get(first)
        if not isinstance(spec, AttrSpecClassic):
            return _Found(ANY, Indexed.FREE, is_free=True, root=len(rest))
        multi_value = isinstance(spec, AttrSpecObservations) and spec.multi_value
        indexed = Indexed.MANY if multi_value else Indexed.ONE
        return self._inside(spec.data_type.expr, rest, indexed, in_list=multi_value)

    def _inside(self, expr: TypeExpr, rest: Sequence[str], indexed: Indexed, *, in_list: bool) -> _Found:
        """`in_list`: the value is itself an element of a list."""
        if in_list and rest and rest[0].isdecimal():
            return self._inside(expr, rest[1:], indexed, in_list=False)._replace(indexed=Indexed.NO)
        if isinstance(expr, ListOf):
            nested = in_list or indexed is Indexed.NO
            return self._inside(expr.elem, rest, Indexed.NO if nested else Indexed.MANY, in_list=True)
        if isinstance(expr, OneOf):
            expr = expr.type
        if isinstance(expr, Primitive):
            return self._primitive(expr, rest, indexed)
        return self._part(expr, rest, indexed)

    def _primitive(self, expr: Primitive, rest: Sequence[str], indexed: Indexed) -> _Found:
        kind = self._kinds[expr.name]
        if kind is ANY:
            return _Found(
                ANY, indexed if indexed is Indexed.NO else Indexed.FREE, is_free=True, root=len(rest)
            )
        return _UNKNOWN if rest else _Found(kind, indexed)

    def _part(self, expr: LinkTo | DictOf, rest: Sequence[str], indexed: Indexed) -> _Found:
        if not rest:
            return _UNKNOWN
        first, further = rest[0], rest[1:]
        if isinstance(expr, DictOf):
            types = {key.name: key.type for key in expr.keys}
            return self._inside(types[first], further, indexed, in_list=False) if first in types else _UNKNOWN
        if first == "eid" and not further:
            return _Found(self._kinds[str(self._entities[expr.etype].id_data_type)], indexed, is_id=True)
        if first == "data" and expr.data is not None:
            return self._inside(expr.data, further, indexed, in_list=False)
        return _UNKNOWN
