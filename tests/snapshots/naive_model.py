"""Snapshots by definition: every run computes everything anew from what was accepted until then.

No database, no index, no memory of earlier runs but their results; slow, and short enough to be believed.
Values are wire values throughout: the types in use look the same to hooks.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from dp3.engine.profiles import history_params
from dp3.history import Observation, Params, Segment, canonical
from dp3.hooks.registration import HookRegistration
from dp3.model.attrspec import AttrSpecClassic, AttrSpecObservations, AttrSpecReadOnly
from dp3.model.spec import ModelSpec
from dp3.model.wire import CONFIDENCE_UNIT, WirePoint, decode_value, encode_value

Ref = tuple[str, str]
"""Entity type, entity id as text."""

Doc = dict[str, Any]
FOREVER = 1 << 62


@dataclass(slots=True)
class Profile:
    """What is known of an entity since it was created; `links` has the end of (attribute, target)."""

    plain: dict[str, Any] = field(default_factory=dict)
    history: dict[str, list[Observation]] = field(default_factory=dict)
    links: dict[tuple[str, Ref], int] = field(default_factory=dict)


class NaiveModel:
    """Takes the same data-points, deletions, configurations and runs as the engine."""

    def __init__(self) -> None:
        self._profiles: dict[Ref, Profile] = {}
        self._series: dict[Ref, list[tuple[int, Doc]]] = {}

    def configure(
        self, model: ModelSpec, registrations: Iterable[HookRegistration] = (), *, keep_empty: bool = True
    ) -> None:
        """From now on this model and these hooks hold."""
        self._model = model
        self._keep_empty = keep_empty
        self._hooks = _ordered([r for r in registrations if r.orders])
        self._used = {place for hook in self._hooks for place in hook.links}

    # -- what arrives --------------------------------------------------------------------------------
    def put(self, etype: str, eid: int | str, points: Sequence[WirePoint]) -> None:
        profile = self._profiles.setdefault((etype, str(eid)), Profile())
        for point in points:
            spec = self._model.attr(etype, point.attr)
            if isinstance(spec, AttrSpecObservations):
                assert point.t1 is not None and point.t2 is not None and point.c is not None
                seen = Observation(point.t1, point.t2, point.c, encode_value(point.v))
                profile.history.setdefault(spec.id, []).append(seen)
            else:
                profile.plain[spec.id] = point.v
                profile.links = {key: end for key, end in profile.links.items() if key[0] != spec.id}
            self._link(profile, spec, point)

    def _link(self, profile: Profile, spec: Any, point: WirePoint) -> None:
        if not (isinstance(spec, AttrSpecClassic) and spec.is_relation):
            return
        end = FOREVER
        if isinstance(spec, AttrSpecObservations):
            assert point.t2 is not None
            end = point.t2 + history_params(spec).post
        for link in links_in(point.v):
            key = spec.id, (spec.relation_to, str(link["eid"]))
            profile.links[key] = max(end, profile.links.get(key, end))

    def delete(self, etype: str, eid: int | str) -> None:
        self._profiles.pop((etype, str(eid)), None)
        self._series.pop((etype, str(eid)), None)

    # -- what readers see ----------------------------------------------------------------------------
    def history(self, etype: str, eid: int | str) -> list[tuple[int, Doc]]:
        """(run time, snapshot) of all runs that saw the entity."""
        return self._series.get((etype, str(eid)), [])

    def latest(self, etype: str) -> dict[str, tuple[int, Doc]]:
        """The newest snapshot of each entity of a type, by id."""
        if not self._model.entities[etype].snapshot:
            return {}
        return {eid: series[-1] for (of, eid), series in self._series.items() if of == etype}

    # -- runs ----------------------------------------------------------------------------------------
    def run(self, t: int) -> None:
        self.keep(t, self.made(t))

    def keep(self, t: int, docs: Mapping[Ref, Doc]) -> None:
        """These are the snapshots of the run at `t`."""
        for ref, doc in docs.items():
            self._series.setdefault(ref, []).append((t, doc))

    def made(self, t: int) -> dict[Ref, Doc]:
        """The snapshots of a run at `t`."""
        values = {ref: self._values(ref, t) for ref in self._profiles if ref[0] in self._model}
        components = self._components(t)
        for component in components:
            if self._keep_empty:
                values |= {ref: self._values(ref, t) for ref in component - values.keys()}
            else:
                self._drop_missing(component, values)
            self._attach(component & values.keys(), values)
        for hook in self._hooks:
            for ref in sorted(ref for ref in values if ref[0] == hook.etype):
                with suppress(ValueError):
                    hook.hook(ref[0], values[ref])
        linked = set().union(*components)
        docs = {ref: self._saved(doc) for ref, doc in values.items()}
        return {ref: doc for ref, doc in docs.items() if self._is_saved(ref, doc, ref in linked)}

    def _is_saved(self, ref: Ref, doc: Doc, linked: bool) -> bool:
        omitted = linked and not self._keep_empty and doc.keys() == {"eid"}
        return ref in self._profiles and self._model.entities[ref[0]].snapshot and not omitted

    def _saved(self, doc: Doc) -> Doc:
        clean = {key: _without_records(value) for key, value in doc.items()}
        return {key: deepcopy(value) for key, value in clean.items() if _convertible(value)}

    def _values(self, ref: Ref, t: int) -> Doc:
        profile = self._profiles.get(ref, Profile())
        doc: Doc = {"eid": self._typed(ref)}
        for name, spec in self._model.attribs(ref[0]).items():
            if isinstance(spec, AttrSpecReadOnly):
                doc[name] = [{"eid": self._typed(source)} for source in self._sources(ref, name, t)]
            elif isinstance(spec, AttrSpecObservations):
                doc |= _observed(name, profile.history.get(name, []), t, history_params(spec))
            elif name in profile.plain:
                doc[name] = deepcopy(profile.plain[name])
        return doc

    def _typed(self, ref: Ref) -> int | str:
        return int(ref[1]) if str(self._model.entities[ref[0]].id_data_type) == "int" else ref[1]

    def _sources(self, target: Ref, mirror: str, t: int) -> list[Ref]:
        """Who refers to the target through the relation that is mirrored as `mirror`."""
        sources = (
            source
            for source, attr, linked in self._edges(t)
            if linked == target and self._model.relations[source[0], attr].mirror_as == mirror
        )
        return sorted(sources, key=self._typed)

    def _edges(self, t: int) -> Iterator[tuple[Ref, str, Ref]]:
        for source, profile in self._profiles.items():
            for (attr, target), end in profile.links.items():
                if end > t and (source[0], attr) in self._model.relations:
                    yield source, attr, target

    def _used_edges(self, t: int) -> list[tuple[Ref, Ref]]:
        return [(source, target) for source, attr, target in self._edges(t) if self._is_used(source[0], attr)]

    def _is_used(self, etype: str, attr: str) -> bool:
        spec = self._model.relations[etype, attr]
        return (etype, attr) in self._used or (spec.relation_to, spec.mirror_as) in self._used

    def _components(self, t: int) -> list[set[Ref]]:
        components: list[set[Ref]] = []
        for edge in self._used_edges(t):
            touched = [component for component in components if not component.isdisjoint(edge)]
            components = [component for component in components if component.isdisjoint(edge)]
            components.append(set(edge).union(*touched))
        return components

    def _drop_missing(self, component: set[Ref], values: Mapping[Ref, Doc]) -> None:
        """What links to entities that do not exist have no place in, but those in lists with others."""
        missing = component - values.keys()
        for ref in component & values.keys():
            for name, spec in self._used_links(ref[0]):
                target = spec.relation_to

                def leads_nowhere(value: Any, target: str = target) -> bool:
                    links = list(links_in(value))
                    return bool(links) and all((target, str(link["eid"])) in missing for link in links)

                _drop(values[ref], name, leads_nowhere, is_multi_valued(spec))

    def _used_links(self, etype: str) -> list[tuple[str, AttrSpecClassic]]:
        return [
            (name, spec)
            for name, spec in self._model.attribs(etype).items()
            if (etype, name) in self._used and isinstance(spec, AttrSpecClassic)
        ]

    def _attach(self, component: set[Ref], values: Mapping[Ref, Doc]) -> None:
        for ref in component:
            for name, spec in self._used_links(ref[0]):
                for link in links_in(values[ref].get(name)):
                    target = spec.relation_to, str(link["eid"])
                    link["record"] = values[target] if target in component else {"eid": link["eid"]}


def links_in(value: Any) -> Iterator[Doc]:
    """The links in a link, a list of links, or a list of lists of links."""
    if isinstance(value, list):
        for element in value:
            yield from links_in(element)
    elif isinstance(value, dict):
        yield value


def is_multi_valued(spec: AttrSpecClassic) -> bool:
    return isinstance(spec, AttrSpecObservations) and spec.multi_value


def _drop(doc: Doc, name: str, unwanted: Callable[[Any], bool], multi_valued: bool) -> None:
    if name not in doc:
        return
    confidence = f"{name}#c"
    if multi_valued:
        kept = [pair for pair in zip(doc[name], doc[confidence], strict=True) if not unwanted(pair[0])]
        doc[name], doc[confidence] = [value for value, _ in kept], [c for _, c in kept]
    if unwanted(doc[name]) or (multi_valued and not doc[name]):
        del doc[name]
        doc.pop(confidence, None)


def _observed(name: str, history: list[Observation], t: int, params: Params) -> Doc:
    segments = canonical(history, params)
    rated = [(_confidence(segment, t, params), segment) for segment in segments]
    valid = [(c, segment) for c, segment in rated if c]
    if not valid:
        return {}
    if params.multi_value:
        seen = dict.fromkeys(segment.v for segment in segments)
        best = {v: max((c for c, segment in valid if segment.v == v), default=None) for v in seen}
        present = [(v, c) for v, c in best.items() if c is not None]
        return {name: [decode_value(v) for v, _ in present], f"{name}#c": [float(c) for _, c in present]}
    c, winner = max(valid, key=lambda pair: (pair[0], pair[1].t1, pair[1].t2, pair[1].v))
    return {name: decode_value(winner.v), f"{name}#c": float(c)}


def _confidence(segment: Segment, t: int, params: Params) -> Fraction:
    c = Fraction(segment.c_sum, segment.n * CONFIDENCE_UNIT)
    if t < segment.t1:
        return c * _left(segment.t1 - t, params.pre)
    if t > segment.t2:
        return c * _left(t - segment.t2, params.post)
    return c


def _left(away: int, validity: int) -> Fraction:
    return 1 - Fraction(away, validity) if away < validity else Fraction(0)


def _ordered(hooks: list[HookRegistration]) -> list[HookRegistration]:
    """The first registered of those that wait for none that is left; then the next."""
    ordered: list[HookRegistration] = []
    while left := [hook for hook in hooks if hook not in ordered]:
        ordered.append(next(h for h in left if not any(set(o.writes) & set(h.reads) for o in left)))
    return ordered


def _without_records(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_records(element) for element in value]
    if isinstance(value, dict):
        return {key: v for key, v in value.items() if key != "record"}
    return value


def _convertible(value: Any) -> bool:
    try:
        encode_value(value)
    except TypeError:
        return False
    return True
