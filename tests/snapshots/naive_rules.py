"""Snapshots by definition: everything is computed anew from what is known, with no memory of earlier runs.

Values are wire values throughout: the types in use look the same to hooks.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

from naive_world import Doc, Profile, Ref, World, links_in

from dp3.clock import to_datetime
from dp3.history import Params, history_params
from dp3.hooks.kinds import HookKind
from dp3.hooks.registration import HookRegistration
from dp3.model.attrspec import AttrSpecClassic, AttrSpecObservations, AttrSpecReadOnly
from dp3.model.spec import ModelSpec
from dp3.model.task import task_to_wire
from dp3.model.wire import CONFIDENCE_UNIT, WirePoint, WireTask, decode_value, encode_value
from kit.history import Observation, Segment, canonical

Told = tuple[str, str, bytes]
"""Entity type and id of a derived task, and its encoded data-points."""


class Seen(NamedTuple):
    """What values of an entity are made of: its profile if it exists, and who links to it."""

    profile: Profile | None
    mirrors: Doc


def told(task: WireTask) -> Told:
    """A task as it is compared with others."""
    return task.etype, str(task.eid), encode_value(task.points)


@dataclass(slots=True)
class Made:
    """Snapshots, and how often which tasks were returned by hooks."""

    docs: dict[Ref, Doc] = field(default_factory=dict)
    tasks: Counter[Told] = field(default_factory=Counter)

    def add(self, other: "Made") -> None:
        self.docs |= other.docs
        self.tasks += other.tasks


class Rules:
    """How snapshots are made of a world, with one model and the hooks registered for it."""

    def __init__(
        self, model: ModelSpec, registrations: Iterable[HookRegistration] = (), keep_empty: bool = True
    ) -> None:
        registrations = tuple(registrations)
        self.model = model
        self._keep_empty = keep_empty
        self._hooks = _ordered([r for r in registrations if r.orders])
        self._timeseries = [r for r in registrations if r.kind == "timeseries"]
        self._of_run = [r for r in registrations if r.kind in ("snapshot_init", "snapshot_finalize")]
        self._used = {place for hook in self._hooks for place in hook.links}

    def made(self, world: World, t: int, processes: int) -> Made:
        """What a run at `t` makes of a world if nothing else happens."""
        made = Made(tasks=sum(self.first(processes) + self.last(processes), Counter()))
        for group, linked in self.groups(world, t, world.profiles):
            made.add(self.made_of({ref: self.seen(world, ref, t) for ref in group}, linked, t))
        return made

    def first(self, processes: int) -> list[Counter[Told]]:
        """What each init hook returns in each worker."""
        return self._around("snapshot_init", processes)

    def last(self, processes: int) -> list[Counter[Told]]:
        """What each finalize hook returns in each worker."""
        return self._around("snapshot_finalize", processes)

    def _around(self, kind: HookKind, processes: int) -> list[Counter[Told]]:
        hooks = [hook for hook in self._of_run if hook.kind == kind]
        returned = [Counter[Told]() for _ in hooks * processes]
        for tasks, hook in zip(returned, hooks * processes, strict=True):
            _call(tasks, hook)
        return returned

    def groups(self, world: World, t: int, refs: Iterable[Ref]) -> list[tuple[frozenset[Ref], bool]]:
        """Which entities hooks see together, by the links of a world, each time with whether they are linked;
        others of `refs` for themselves, but those of types without snapshots not at all."""
        components = self._components(world, t)
        alone = {ref for ref in refs if self._is_stored(ref)}.difference(*components)
        return [(frozenset(c), True) for c in components] + [(frozenset([ref]), False) for ref in alone]

    def made_of(self, group: Mapping[Ref, Seen], linked: bool, t: int) -> Made:
        """What a run at `t` makes of entities that hooks see together; not all of them need exist."""
        made = Made()
        existing = [ref for ref, seen in group.items() if seen.profile is not None]
        taking_part = group if linked and self._keep_empty else existing
        profiles = {
            ref: self.with_timeseries(group[ref].profile or Profile(), ref, t, made.tasks)
            for ref in taking_part
        }
        values = {ref: self.values(group[ref].mirrors, ref, profiles[ref], t) for ref in taking_part}
        if linked:
            self._drop_missing(group.keys() - values.keys(), values)
            self._attach(values)
        masters = {ref: self._master(ref, profiles[ref]) if ref in existing else {} for ref in values}
        for hook in self._hooks:
            for ref in sorted(ref for ref in values if ref[0] == hook.etype):
                master = [masters[ref]] if hook.kind == "correlation_with_master_record" else []
                _call(made.tasks, hook, ref[0], values[ref], *master)
        docs = {ref: _saved(values[ref]) for ref in existing}
        made.docs = {ref: doc for ref, doc in docs.items() if self._is_saved(ref, doc, linked)}
        return made

    def seen(self, world: World, ref: Ref, t: int) -> Seen:
        attribs = self.model.attribs(ref[0]).items()
        mirrors = [name for name, spec in attribs if isinstance(spec, AttrSpecReadOnly)]
        return Seen(world.profiles.get(ref), {name: self._mirrored(world, ref, name, t) for name in mirrors})

    # -- values --------------------------------------------------------------------------------------
    def _is_saved(self, ref: Ref, doc: Doc, linked: bool) -> bool:
        omitted = linked and not self._keep_empty and doc.keys() == {"eid"}
        return self._is_stored(ref) and not omitted

    def _is_stored(self, ref: Ref) -> bool:
        return ref[0] in self.model and self.model.entities[ref[0]].snapshot

    def values(self, mirrors: Doc, ref: Ref, profile: Profile, t: int) -> Doc:
        """Current values of an entity."""
        doc: Doc = {"eid": self._typed(ref)}
        for name, spec in self.model.attribs(ref[0]).items():
            if isinstance(spec, AttrSpecReadOnly):
                doc[name] = deepcopy(mirrors[name])
            elif isinstance(spec, AttrSpecObservations):
                doc |= _observed(name, profile.observations(name), t, history_params(spec))
            elif name in profile.plain:
                doc[name] = deepcopy(profile.plain[name])
        return doc

    def with_timeseries(self, profile: Profile, ref: Ref, t: int, tasks: Counter[Told]) -> Profile:
        """A profile as if what timeseries hooks say of its entity had been taken in; all that they say is
        added to `tasks`."""
        after = deepcopy(profile)
        for name in self.model.attribs(ref[0]):
            for hook in self._timeseries:
                if (hook.etype, hook.attr_type) == (ref[0], name) and name in profile.series:
                    for task in _call(tasks, hook, ref[0], name, _chunks(profile.series[name])):
                        for point in task.points if (task.etype, str(task.eid)) == ref else ():
                            after.take(self.model.attr(ref[0], point.attr), point, t)
        return after

    def _typed(self, ref: Ref) -> int | str:
        return int(ref[1]) if str(self.model.entities[ref[0]].id_data_type) == "int" else ref[1]

    def _mirrored(self, world: World, target: Ref, mirror: str, t: int) -> list[Doc]:
        sources = sorted(world.sources(self.model, target, mirror, t), key=self._typed)
        return [{"eid": self._typed(source)} for source in sources]

    def _master(self, ref: Ref, profile: Profile) -> Doc:
        record: Doc = {"_id": self._typed(ref)}
        for name, spec in self.model.attribs(ref[0]).items():
            if name in profile.plain:
                record[name] = {"v": deepcopy(profile.plain[name])}
            elif isinstance(spec, AttrSpecObservations) and name in profile.history:
                segments = canonical(profile.observations(name), history_params(spec))
                record[name] = [{"v": decode_value(s.v), "c": float(_mean(s))} for s in segments]
        return record

    # -- links ---------------------------------------------------------------------------------------
    def _components(self, world: World, t: int) -> list[set[Ref]]:
        components: list[set[Ref]] = []
        for source, attr, target in world.edges(self.model, t):
            if self._is_used(source[0], attr):
                edge = {source, target}
                touched = [component for component in components if component & edge]
                components = [component for component in components if not component & edge]
                components.append(edge.union(*touched))
        return components

    def _is_used(self, etype: str, attr: str) -> bool:
        spec = self.model.relations[etype, attr]
        return (etype, attr) in self._used or (spec.relation_to, spec.mirror_as) in self._used

    def _drop_missing(self, missing: Iterable[Ref], values: Mapping[Ref, Doc]) -> None:
        """Links to entities that do not exist have no place, but those in lists with others."""
        missing = set(missing)
        for ref in values:
            for name, spec in self._used_links(ref[0]):
                target = spec.relation_to

                def leads_nowhere(value: Any, target: str = target) -> bool:
                    links = list(links_in(value))
                    return bool(links) and all((target, str(link["eid"])) in missing for link in links)

                _drop(values[ref], name, leads_nowhere, is_multi_valued(spec))

    def _used_links(self, etype: str) -> list[tuple[str, AttrSpecClassic]]:
        return [
            (name, spec)
            for name, spec in self.model.attribs(etype).items()
            if (etype, name) in self._used and isinstance(spec, AttrSpecClassic)
        ]

    def _attach(self, values: Mapping[Ref, Doc]) -> None:
        for ref in values:
            for name, spec in self._used_links(ref[0]):
                for link in links_in(values[ref].get(name)):
                    target = spec.relation_to, str(link["eid"])
                    link["record"] = values.get(target, {"eid": link["eid"]})


def is_multi_valued(spec: AttrSpecClassic) -> bool:
    return isinstance(spec, AttrSpecObservations) and spec.multi_value


def _call(tasks: Counter[Told], hook: HookRegistration, *args: Any) -> list[WireTask]:
    """Call a hook; one that fails returns nothing."""
    try:
        returned = [task_to_wire(task) for task in hook.hook(*args) or ()]
    except ValueError:
        return []
    tasks.update(told(task) for task in returned)
    return returned


def _chunks(points: Iterable[WirePoint]) -> list[Doc]:
    ordered = sorted(points, key=lambda point: (point.t1, point.t2, encode_value(point.v)))
    return [_chunk(point) for point in ordered]


def _chunk(point: WirePoint) -> Doc:
    assert point.t1 is not None and point.t2 is not None
    return {"t1": to_datetime(point.t1), "t2": to_datetime(point.t2), "v": deepcopy(point.v)}


def _saved(doc: Doc) -> Doc:
    clean = {key: _without_records(value) for key, value in doc.items()}
    return {key: deepcopy(value) for key, value in clean.items() if _convertible(value)}


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


def _observed(name: str, history: Sequence[Observation], t: int, params: Params) -> Doc:
    segments = canonical(history, params)
    rated = [(_confidence(segment, t, params), segment) for segment in segments]
    valid = [(c, segment) for c, segment in rated if c]
    if not valid:
        return {}
    if params.multi_value:
        values = {segment.v for _, segment in valid}
        best = [_best([pair for pair in valid if pair[1].v == v]) for v in values]
        best.sort(key=lambda pair: (pair[1].t1, pair[1].t2, pair[1].v))
        found = [decode_value(segment.v) for _, segment in best]
        return {name: found, f"{name}#c": [float(c) for c, _ in best]}
    c, winner = _best(valid)
    return {name: decode_value(winner.v), f"{name}#c": float(c)}


def _best(rated: Sequence[tuple[Fraction, Segment]]) -> tuple[Fraction, Segment]:
    return max(rated, key=lambda pair: (pair[0], pair[1].t1, pair[1].t2, pair[1].v))


def _confidence(segment: Segment, t: int, params: Params) -> Fraction:
    if t < segment.t1:
        return _mean(segment) * _left(segment.t1 - t, params.pre)
    if t > segment.t2:
        return _mean(segment) * _left(t - segment.t2, params.post)
    return _mean(segment)


def _mean(segment: Segment) -> Fraction:
    return Fraction(segment.c_sum, segment.n * CONFIDENCE_UNIT)


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
