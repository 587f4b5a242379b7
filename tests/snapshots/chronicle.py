"""What happens in the life of an application: whether random lives are as eventful as they should be."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from naive_rules import Rules
from naive_world import Doc, Ref, World

from dp3.model.attrspec import AttrSpecObservations
from dp3.model.wire import WirePoint

Docs = Mapping[Ref, Doc]

MATTERS = {
    "confidences cross",
    "only a confidence of an entity changes",
    "an entity does not change",
    "a hook deletes a confidence",
    "a hook sets a confidence",
    "data comes late",
    "an entity comes back",
    "a target appears",
    "a target disappears",
    "the configuration changes",
    "timeseries become values",
    "hooks tell something",
    "several workers share a run",
    "data comes in the midst of a run",
    "links change in the midst of a run",
    "an entity goes in the midst of a run",
    "an entity comes in the midst of a run",
    "a run is resumed",
    "a run is cut short",
}


class Chronicle:
    """`happened` has what did, of what `MATTERS`."""

    def __init__(self) -> None:
        self.happened: set[str] = set()
        self._rules: Rules | None = None
        self._time = 0
        self._docs: Docs = {}
        self._missing: set[Ref] = set()
        self._linked: set[Ref] = set()
        self._touched: set[Ref] = set()
        self._deleted: set[Ref] = set()

    def put(self, ref: Ref, points: Sequence[WirePoint]) -> None:
        self._touched.add(ref)
        if ref in self._deleted:
            self.happened.add("an entity comes back")
        if any(point.c is not None and point.t2 is not None and point.t2 < self._time for point in points):
            self.happened.add("data comes late")

    def told(self, ref: Ref, points: Sequence[WirePoint]) -> None:
        self.happened.add("hooks tell something")
        self.put(ref, points)

    def delete(self, ref: Ref) -> None:
        self._touched.add(ref)
        self._deleted.add(ref)

    def run(self, rules: Rules, worlds: Sequence[World], t: int, docs: Docs, processes: int) -> None:
        """`worlds`: at the beginning and after all that happened in the midst of the run."""
        before, after = worlds[0], worlds[-1]
        if processes > 1 and len(docs) > 1:
            self.happened.add("several workers share a run")
        self.happened.update(_in_the_midst(rules, before, after, t))
        self.happened.update(self._since_the_last(rules, after, t, docs))
        self._rules, self._time, self._docs = rules, t, dict(docs)
        self._touched.clear()

    def _since_the_last(self, rules: Rules, world: World, t: int, docs: Docs) -> Iterator[str]:
        if self._rules is not None and self._rules is not rules:
            yield "the configuration changes"
        yield from self._targets(rules, world, t)
        for ref, doc in docs.items():
            if ref in world.profiles:
                yield from self._changes(rules, world, ref, t, doc)

    def _targets(self, rules: Rules, world: World, t: int) -> Iterator[str]:
        targets = {target for _, _, target in world.edges(rules.model, t)}
        missing = targets - world.profiles.keys()
        if self._missing & (targets - missing):
            yield "a target appears"
        if self._linked & missing:
            yield "a target disappears"
        self._missing, self._linked = missing, targets - missing

    def _changes(self, rules: Rules, world: World, ref: Ref, t: int, doc: Doc) -> Iterator[str]:
        profile, mirrors = world.profiles[ref], rules.seen(world, ref, t).mirrors
        now, then = (rules.values(mirrors, ref, profile, time) for time in (t, self._time))
        computed = rules.values(mirrors, ref, rules.with_timeseries(profile, ref, t, Counter()), t)
        if computed != now:
            yield "timeseries become values"
        for name, spec in rules.model.attribs(ref[0]).items():
            if isinstance(spec, AttrSpecObservations) and name in now:
                if not spec.multi_value and now[name] != then.get(name, now[name]):
                    yield "confidences cross"
                if name in doc and doc.get(f"{name}#c") != computed.get(f"{name}#c"):
                    yield f"a hook {'sets' if f'{name}#c' in doc else 'deletes'} a confidence"
        if self._rules is rules and ref in self._docs and ref not in self._touched:
            if doc == self._docs[ref]:
                yield "an entity does not change"
            elif _without_confidences(doc) == _without_confidences(self._docs[ref]):
                yield "only a confidence of an entity changes"


def _in_the_midst(rules: Rules, before: World, after: World, t: int) -> Iterator[str]:
    if before != after:
        yield "data comes in the midst of a run"
    if set(before.edges(rules.model, t)) != set(after.edges(rules.model, t)):
        yield "links change in the midst of a run"
    if before.profiles.keys() - after.profiles.keys():
        yield "an entity goes in the midst of a run"
    if after.profiles.keys() - before.profiles.keys():
        yield "an entity comes in the midst of a run"


def _without_confidences(doc: Doc) -> Doc:
    return {name: value for name, value in doc.items() if not name.endswith("#c")}
