"""Snapshots as they would be at any moment, computed from history as it is known now."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from dp3.engine.jobs.snapshots.doc import expand
from dp3.engine.jobs.snapshots.values import ValuePlan, compute, eid_order, plan_values, told
from dp3.model.attrspec import AttrSpecReadOnly
from dp3.model.spec import ModelSpec
from dp3.store.ports.entities import Entities, Profile
from dp3.store.ports.links import Links
from dp3.store.ports.models import Names

PAGE_ENTITIES = 200
"""Entities whose profiles are read at once."""

Document = dict[str, Any]


class _Type(NamedTuple):
    number: int
    values: ValuePlan
    mirrors: Mapping[int, str]
    """Number of a relation of another type → the mirror attribute that shows it."""


class AsOf:
    """Values of entities at a moment (µs).

    Plain values are known as they were last stored, so earlier moments than that have none. Mirrors list
    the links known now that had not ended at the moment."""

    def __init__(self, entities: Entities, links: Links, names: Names, model: ModelSpec) -> None:
        self._entities = entities
        self._links = links
        self._types = {etype: _plan(names, entities, model, etype) for etype in model.entities}
        self._by_number = {plan.number: plan.values for plan in self._types.values()}

    def values(self, etype: str, eid: str, at: int) -> Document | None:
        """The values of an entity, None if it does not exist or nothing is known of it at that moment."""
        entity = (self._types[etype].number, eid)
        keys = [key for key, _ in self._entities.find([entity]).values()]
        for found in self._entities.profiles(keys).values():
            profile = self._entities.decode_profile(found)
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
            for (_, eid), sources in self._links.incoming(targets, list(plan.mirrors), at).items():
                for attr, source_type, source in sources:
                    link = {"eid": self._by_number[source_type].eid(source)}
                    found[eid][plan.mirrors[attr]].append(link)
                for links in found[eid].values():
                    links.sort(key=lambda link: eid_order(link["eid"]))
        return found

    def all(self, etype: str, at: int, after: str | None = None) -> Iterator[tuple[str, Document]]:
        """Id and values of each entity of which something is known at that moment, by id, after an id."""
        while page := self._entities.page(etype, PAGE_ENTITIES, after):
            profiles = self._entities.profiles([key for key, _, _ in page])
            mirrors = self.mirrors(etype, [eid for _, eid, _ in page], at)
            for key, eid, created in page:
                if key not in profiles:  # deleted since
                    continue
                profile = self._entities.decode_profile(profiles[key])
                document = self._document(etype, eid, profile, at, mirrors[eid])
                if created <= at or _tells_something(document):
                    yield eid, document
            after = page[-1][1]

    def _document(
        self, etype: str, eid: str, profile: Profile, at: int, mirrors: Mapping[str, list[Any]]
    ) -> Document:
        plan = self._types[etype].values
        stored = [row for row in profile.plain if row[2] <= at]  # by their append times
        known = msgspec.structs.replace(told(self._entities, profile, plan, at, later=False), plain=stored)
        return expand(compute(plan.eid(eid), known, plan, at, mirrors).doc, at)


def _plan(names: Names, entities: Entities, model: ModelSpec, etype: str) -> _Type:
    numbers = {
        name: names.attr_id(etype, name)
        for name, spec in model.attribs(etype).items()
        if not isinstance(spec, AttrSpecReadOnly)
    }
    mirrors = {
        names.attr_id(*place): spec.mirror_as
        for place, spec in model.relations.items()
        if spec.mirror_as is not None and spec.relation_to == etype
    }
    return _Type(names.etype_id(etype), plan_values(model, etype, numbers, entities), mirrors)


def _tells_something(document: Document) -> bool:
    """True if there is more in it than the id and mirrors of nothing."""
    return any(value != [] for name, value in document.items() if name != "eid")
