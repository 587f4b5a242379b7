"""What was accepted, as it is known: profiles of entities and what links them. No database."""

from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dp3.history import history_params
from dp3.model.attrspec import (
    AttrSpecClassic,
    AttrSpecObservations,
    AttrSpecPlain,
    AttrSpecTimeseries,
    AttrSpecType,
)
from dp3.model.spec import ModelSpec
from dp3.model.wire import WirePoint, decode_value, encode_value
from kit.history import Observation

Ref = tuple[str, str]
"""Entity type, entity id as text."""

Doc = dict[str, Any]
FOREVER = 1 << 62


class Known(NamedTuple):
    """An observation, and when it was appended."""

    seen: Observation
    written: int


@dataclass(slots=True)
class Profile:
    """What is known of an entity since it was created; `links` has the end of (attribute, target)."""

    plain: dict[str, Any] = field(default_factory=dict)
    written: dict[str, int] = field(default_factory=dict)
    history: dict[str, list[Known]] = field(default_factory=dict)
    series: dict[str, list[WirePoint]] = field(default_factory=dict)
    links: dict[tuple[str, Ref], int] = field(default_factory=dict)

    def put(self, spec: AttrSpecType, point: WirePoint, written: int) -> None:
        """Take in a data-point that was appended at a moment. A plain value does nothing if a later one is
        there already; from then on what it replaces does not hold any more."""
        if isinstance(spec, AttrSpecPlain):
            if self.written.get(spec.id, 0) > written:
                return
            self.written[spec.id] = written
            replaced = {key: min(end, written) for key, end in self.links.items() if key[0] == spec.id}
            self.links |= replaced
        self.take(spec, point, written)
        if isinstance(spec, AttrSpecClassic) and spec.is_relation:
            self._link(spec, point)

    def observations(self, attr: str) -> list[Observation]:
        return [known.seen for known in self.history.get(attr, [])]

    def take(self, spec: AttrSpecType, point: WirePoint, written: int) -> None:
        """Take in a value only."""
        if isinstance(spec, AttrSpecTimeseries):
            self.series.setdefault(spec.id, []).append(point)
        elif isinstance(spec, AttrSpecObservations):
            assert point.t1 is not None and point.t2 is not None and point.c is not None
            seen = Observation(point.t1, point.t2, point.c, encode_value(point.v))
            self.history.setdefault(spec.id, []).append(Known(seen, written))
        else:
            self.plain[spec.id] = point.v

    def _link(self, spec: AttrSpecClassic, point: WirePoint) -> None:
        for link in links_in(point.v):
            key = spec.id, (spec.relation_to, str(link["eid"]))
            end = _link_end(spec, point.t2)
            self.links[key] = max(end, self.links.get(key, end))

    def unlink(self, model: ModelSpec, etype: str, target: Ref, now: int) -> None:
        """Forget what leads to a target that was deleted at a moment, through links that held then; but not
        what was appended later."""
        for (attr, linked), end in self.links.items():
            if linked == target and end > now:
                spec = model.attributes.get((etype, attr))
                self.links[attr, linked] = max([now, *self._unlinked(spec, attr, target, now)])

    def _unlinked(self, spec: AttrSpecType | None, attr: str, target: Ref, now: int) -> Iterator[int]:
        """Forgets; the ends of what stays."""
        left = []
        for known in self.history.pop(attr, []):
            leads = _leads_to(decode_value(known.seen.v), target)
            if leads and known.written > now:
                yield _link_end(spec, known.seen.t2)
            if not leads or known.written > now:
                left.append(known)
        if left:
            self.history[attr] = left
        if _leads_to(self.plain.get(attr), target):
            if self.written[attr] > now:
                yield FOREVER
            else:
                self._unlink_plain(attr, target)

    def _unlink_plain(self, attr: str, target: Ref) -> None:
        value = self.plain[attr]
        if isinstance(value, list):
            left = [link for link in value if not _leads_to(link, target)]
            if left:
                self.plain[attr] = left
                return
        del self.plain[attr]


def _link_end(spec: AttrSpecType | None, t2: int | None) -> int:
    """Until when a link holds; for ever if the model does not know its attribute."""
    if not isinstance(spec, AttrSpecObservations):
        return FOREVER
    assert t2 is not None
    return t2 + history_params(spec).post


def _leads_to(value: Any, target: Ref) -> bool:
    return any(str(link["eid"]) == target[1] for link in links_in(value))


@dataclass(slots=True)
class World:
    """The profiles of all entities that exist."""

    profiles: dict[Ref, Profile] = field(default_factory=dict)

    def put(self, model: ModelSpec, ref: Ref, points: Sequence[WirePoint], written: int) -> None:
        """A task is processed that was appended at a moment; points that the model does not know are refused,
        and of several plain values the last is the only one that ever holds."""
        profile = self.profiles.setdefault(ref, Profile())
        last = {point.attr: point for point in points}
        for point in points:
            spec = model.attributes.get((ref[0], point.attr))
            if spec is not None and (point is last[point.attr] or not isinstance(spec, AttrSpecPlain)):
                profile.put(spec, point, written)

    def delete(self, model: ModelSpec, ref: Ref, now: int) -> None:
        """An entity is deleted by a task that was appended at a moment; older links to it go with it, whether
        there was more of it or not."""
        self.profiles.pop(ref, None)
        for source, profile in self.profiles.items():
            profile.unlink(model, source[0], ref, now)

    def copy(self) -> "World":
        return deepcopy(self)

    def edges(self, model: ModelSpec, t: int) -> Iterator[tuple[Ref, str, Ref]]:
        """(source, attribute, target) of the links that hold at `t`."""
        for source, profile in self.profiles.items():
            for (attr, target), end in profile.links.items():
                if end > t and (source[0], attr) in model.relations:
                    yield source, attr, target

    def sources(self, model: ModelSpec, target: Ref, mirror: str, t: int) -> Iterable[Ref]:
        """Who refers to the target through the relation that is mirrored as `mirror`."""
        return (
            source
            for source, attr, linked in self.edges(model, t)
            if linked == target and model.relations[source[0], attr].mirror_as == mirror
        )


def links_in(value: Any) -> Iterator[Doc]:
    """The links in a link, a list of links, or a list of lists of links."""
    if isinstance(value, list):
        for element in value:
            yield from links_in(element)
    elif isinstance(value, dict):
        yield value
