"""Plans of entity types: the part of the model that a worker needs for every task, looked up once at
start-up.

Plans also say what follows from a value: the links that it stands for, and when a life is over. Pure but for
`make_plans`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from dp3.clock import duration_us
from dp3.hooks.table import HookTable
from dp3.model.attrspec import (
    AttrSpecClassic,
    AttrSpecObservations,
    AttrSpecTimeseries,
    AttrSpecType,
    AttrType,
)
from dp3.model.entityspec import TimeToLiveLifetime
from dp3.model.spec import ModelSpec
from dp3.store.ports.batches import NO_TARGET, LinkRow
from dp3.store.ports.lifetimes import NOT_BEFORE_NEXT
from dp3.store.ports.models import Names

FOREVER = 1 << 62
"""The end of a plain relation: it holds until it is replaced."""


class LinkPlan(NamedTuple):
    """A relation: the number of the entity type it leads to, and for how many µs an observed link holds after
    its `t2`."""

    target: int
    post: int = 0

    def plain(self, source: int, attr: int, order: int, value: Any) -> list[LinkRow]:
        """The links of a plain relation, of which `value` is a link or a list of links. They are all there
        are: one without a target says that there are none."""
        rows = [
            LinkRow(source, attr, self.target, eid, FOREVER, order, replaces=True) for eid in _targets(value)
        ]
        return rows or [LinkRow(source, attr, *NO_TARGET, FOREVER, order, replaces=True)]

    def observed(self, source: int, attr: int, order: int, t2: int, value: Any) -> list[LinkRow]:
        """The links that one observation says hold until its validity ends; `t2` in µs."""
        until = t2 + self.post
        return [
            LinkRow(source, attr, self.target, eid, until, order, replaces=False) for eid in _targets(value)
        ]


def _targets(value: Any) -> Iterable[str]:
    """Ids of the targets, each once. A value that an older model accepted may be no link."""
    links = value if isinstance(value, list) else (value,)
    return dict.fromkeys(str(link["eid"]) for link in links if isinstance(link, dict) and "eid" in link)


class Lifetime(StrEnum):
    """The end of the life of entities, beside deletion by others."""

    IMMORTAL = "immortal"
    TTL = "ttl"
    WEAK = "weak"


@dataclass(frozen=True, slots=True)
class LifePlan:
    """The life of entities of a type: with tokens, for `on_create` µs, and as long as their data keeps
    them: `keeps` has the µs of each attribute (by number) that does so."""

    lifetime: Lifetime = Lifetime.IMMORTAL
    on_create: int = 0
    keeps: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TypePlan:
    """One entity type: its number in the state, its attributes by name as (number, type), whether any hook
    wants to see its tasks, which attributes (by number) are relations, and how long its entities live."""

    etype: str
    id: int
    attrs: dict[str, tuple[int, AttrType]]
    hooked: bool
    links: Mapping[int, LinkPlan] = field(default_factory=dict)
    life: LifePlan = LifePlan()


def make_plans(model: ModelSpec, names: Names, hooks: HookTable) -> dict[str, TypePlan]:
    """Plans of all entity types of the model, by type."""
    return {
        etype: TypePlan(
            etype=etype,
            id=names.etype_id(etype),
            attrs={
                name: (names.attr_id(etype, name), spec.t)
                for name, spec in model.entity_attributes[etype].items()
            },
            hooked=hooks.touches(etype),
            links={
                names.attr_id(etype, name): _link_plan(spec, names)
                for (owner, name), spec in model.relations.items()
                if owner == etype
            },
            life=_life_plan(etype, model, names),
        )
        for etype in model.entities
    }


def _link_plan(spec: AttrSpecClassic, names: Names) -> LinkPlan:
    target = names.etype_id(spec.relation_to)
    if isinstance(spec, AttrSpecObservations):
        return LinkPlan(target, duration_us(spec.history_params.post_validity))
    return LinkPlan(target)


def _life_plan(etype: str, model: ModelSpec, names: Names) -> LifePlan:
    lifetime = model.entity(etype).lifetime
    if not isinstance(lifetime, TimeToLiveLifetime):
        return LifePlan(Lifetime(lifetime.type))
    keeps = {
        names.attr_id(etype, name): duration_us(_kept_for(spec, lifetime.mirror_data))
        for name, spec in model.entity_attributes[etype].items()
    }
    return LifePlan(
        Lifetime.TTL, duration_us(lifetime.on_create), {attr: us for attr, us in keeps.items() if us}
    )


def _kept_for(spec: AttrSpecType, mirror_data: bool) -> timedelta:
    """The time for which data of an attribute keeps its entity: as it says, or while the data itself is
    kept."""
    longest = spec.ttl or timedelta(0)
    if mirror_data and isinstance(spec, AttrSpecObservations):
        return max(longest, spec.history_params.max_age or timedelta(0))
    if mirror_data and isinstance(spec, AttrSpecTimeseries):
        return max(longest, spec.timeseries_params.max_age or timedelta(0))
    return longest


# -- ends of lifetimes -------------------------------------------------------------------------------------
class Verdict(NamedTuple):
    """The fate of an entity: whether its life is over, or else which tokens are; when to check again."""

    over: bool
    tokens_over: list[str]
    look: int


def judge(tokens: Iterable[tuple[str, int]], moment: int) -> Verdict:
    """The verdict on an entity with these tokens (name, until) at a moment (µs).

    >>> judge([("base", 5), ("data", 9)], 7)
    Verdict(over=False, tokens_over=['base'], look=9)
    """
    left = {name: until for name, until in tokens if until >= moment}
    past = [name for name, until in tokens if until < moment]
    if left:
        return Verdict(False, past, min(left.values()))
    return Verdict(bool(past), [], NOT_BEFORE_NEXT)
