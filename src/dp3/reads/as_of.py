"""Snapshots as they would be at any moment, computed from history as it is known now."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from dp3.engine.jobs.snapshots.doc import expand
from dp3.engine.jobs.snapshots.values import ValuePlan, compute, eid_order, plan_values
from dp3.model.attrspec import AttrSpecReadOnly
from dp3.model.spec import ModelSpec
from dp3.reads.query.documents import Document
from dp3.reads.query.kinds import Comparable
from dp3.reads.query.matching import Check
from dp3.reads.snapshots import Listing, Window
from dp3.store.ports.entities import Profile
from dp3.store.ports.state import State

PAGE_ENTITIES = 200
"""Entities whose profiles are read at once."""

WALK_S = 5.0
"""A walk over the entities of a type ends after this time."""

SortKeys = Sequence[tuple[Callable[[Document], Comparable | None], bool]]
"""What to sort by, most important first: a value of a document (None: none there), and whether descending."""


class _Type(NamedTuple):
    number: int
    values: ValuePlan
    mirrors: Mapping[int, str]
    """Number of a relation of another type → the mirror attribute that shows it."""


@dataclass(slots=True)
class Walk:
    """What a walk over entities found; `truncated` when its time was over before it was through."""

    documents: list[Document] = field(default_factory=list)
    cursor: str | None = None
    truncated: bool = False


class AsOf:
    """Answers for a moment (µs). Reads the state at every call; may be used from any thread.

    Plain values are known as they were last stored, so earlier moments than that have none. Mirrors list
    the links known now that had not ended at the moment."""

    def __init__(self, state: State, model: ModelSpec) -> None:
        self._state = state
        self._types = {etype: _plan(state, model, etype) for etype in model.entities}
        self._by_number = {plan.number: plan.values for plan in self._types.values()}

    def values(self, etype: str, eid: str, at: int) -> Document | None:
        """The values of an entity, None if it does not exist or nothing is known of it at that moment."""
        entity = (self._types[etype].number, eid)
        keys = [key for key, _ in self._state.entities.find([entity]).values()]
        for found in self._state.entities.profiles(keys).values():
            profile = self._state.entities.decode_profile(found)
            document = self._document(etype, eid, profile, at, self.mirrors(etype, [eid], at)[eid])
            return document if profile.created <= at or _tells_something(document) else None
        return None

    def mirrors(self, etype: str, eids: Sequence[str], at: int) -> dict[str, dict[str, list[Document]]]:
        """Entity id → mirror attribute → links to the entities that refer to it."""
        plan = self._types[etype]
        found: dict[str, dict[str, list[Document]]] = {
            eid: {name: [] for name in plan.mirrors.values()} for eid in eids
        }
        if plan.mirrors:
            targets = [(plan.number, eid) for eid in eids]
            for (_, eid), sources in self._state.links.incoming(targets, list(plan.mirrors), at).items():
                for attr, source_type, source in sources:
                    link = {"eid": self._by_number[source_type].eid(source)}
                    found[eid][plan.mirrors[attr]].append(link)
                for links in found[eid].values():
                    links.sort(key=lambda link: eid_order(link["eid"]))
        return found

    def listing(self, etype: str, check: Check, sort: SortKeys, window: Window, at: int) -> Listing:
        """Entities whose values met a condition, by id or sorted. Only entities that exist now.

        A cursor continues a listing by id."""
        wanted = window.rows + window.skip
        found = self._walk(etype, check, at, window.cursor, None if sort else wanted)
        for value_of, descending in reversed(sort):
            found.documents.sort(key=lambda document: _position(value_of(document)), reverse=descending)
        shown = found.documents[window.skip : wanted]
        more = found.cursor is not None or len(found.documents) > wanted
        return Listing(
            shown,
            run_time=at if shown else None,
            cursor=None if sort else found.cursor,
            truncated=found.truncated or (more and window.limit != window.rows),
        )

    def count(self, etype: str, check: Check, at: int) -> tuple[int, bool]:
        """How many, and whether there was no time to look at all."""
        found = self._walk(etype, check, at, None, None)
        return len(found.documents), found.truncated

    def _walk(self, etype: str, check: Check, at: int, after: str | None, wanted: int | None) -> Walk:
        walk = Walk()
        deadline = time.monotonic() + WALK_S
        for eid, document in self._all(etype, at, after):
            if check(document):
                walk.documents.append(document)
            if len(walk.documents) == wanted:
                walk.cursor = eid
                return walk
            if time.monotonic() > deadline:
                walk.cursor, walk.truncated = eid, True
                return walk
        return walk

    def _all(self, etype: str, at: int, after: str | None) -> Iterator[tuple[str, Document]]:
        while page := self._state.entities.page(etype, PAGE_ENTITIES, after):
            profiles = self._state.entities.profiles([key for key, _, _ in page])
            mirrors = self.mirrors(etype, [eid for _, eid, _ in page], at)
            for key, eid, created in page:
                if key not in profiles:  # deleted since
                    continue
                profile = self._state.entities.decode_profile(profiles[key])
                document = self._document(etype, eid, profile, at, mirrors[eid])
                if created <= at or _tells_something(document):
                    yield eid, document
            after = page[-1][1]

    def _document(
        self, etype: str, eid: str, profile: Profile, at: int, mirrors: Mapping[str, list[Any]]
    ) -> Document:
        plan = self._types[etype].values
        stored = [row for row in profile.plain if row[1] <= at]
        known = msgspec.structs.replace(profile, plain=stored)
        return expand(compute(plan.eid(eid), known, plan, at, mirrors).doc, at)


def _plan(state: State, model: ModelSpec, etype: str) -> _Type:
    numbers = {
        name: state.names.attr_id(etype, name)
        for name, spec in model.attribs(etype).items()
        if not isinstance(spec, AttrSpecReadOnly)
    }
    mirrors = {
        state.names.attr_id(*place): spec.mirror_as
        for place, spec in model.relations.items()
        if spec.mirror_as is not None and spec.relation_to == etype
    }
    return _Type(state.names.etype_id(etype), plan_values(model, etype, numbers, state.entities), mirrors)


def _tells_something(document: Document) -> bool:
    """Whether there is more in it than the id and mirrors of nothing."""
    return any(value != [] for name, value in document.items() if name != "eid")


def _position(value: Comparable | None) -> tuple[bool, Comparable | None]:
    return value is not None, value
