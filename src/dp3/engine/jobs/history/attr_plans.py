"""The attributes of which not everything is kept for ever."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import NamedTuple

from dp3.clock import duration_us
from dp3.engine.plans import LinkPlan, TypePlan
from dp3.history import history_params
from dp3.history.retention import NO_PARAMS, KeepRule
from dp3.model.attrspec import (
    AttrSpecObservations,
    AttrSpecTimeseries,
    AttrSpecType,
    ObservationsHistoryParams,
)
from dp3.model.spec import ModelSpec
from dp3.store.ports.retention import FIRST_TAG, LAST_TAG, Scope


class AttrPlan(NamedTuple):
    """An attribute with limits: its entity type, its number, what is kept of it, and how its links hold."""

    etype: str
    attr: int
    rule: KeepRule
    link: LinkPlan | None = None

    @property
    def scope(self) -> Callable[[tuple[int, ...]], Scope]:
        """The rows that matter for what goes of a row, by its place."""
        if self.rule.value_by_value and not self.rule.row_by_row:
            return lambda place: (place[0], place[1], place[2], place[2])
        return lambda place: (place[0], place[1], FIRST_TAG, LAST_TAG)


def limited_attrs(model: ModelSpec, plans: Mapping[str, TypePlan]) -> list[AttrPlan]:
    """The attributes of which not everything is kept for ever."""
    found = []
    for etype, specs in model.entity_attributes.items():
        plan = plans[etype]
        for name, spec in specs.items():
            number, _ = plan.attrs[name]
            link = plan.links.get(number)
            rule = _rule(spec, linked=link is not None)
            if rule is not None and (rule.max_age is not None or rule.max_items is not None):
                found.append(AttrPlan(etype, number, rule, link))
    return found


def counted_attrs(limited: Iterable[AttrPlan]) -> frozenset[int]:
    """The numbers of those whose rows are to be looked at when they change."""
    return frozenset(plan.attr for plan in limited if plan.rule.max_items is not None)


def _rule(spec: AttrSpecType, linked: bool) -> KeepRule | None:
    if isinstance(spec, AttrSpecTimeseries):
        return KeepRule(NO_PARAMS, _limit(spec.timeseries_params.max_age))
    if isinstance(spec, AttrSpecObservations):
        kept = spec.history_params
        return KeepRule(history_params(spec), _limit(_max_age(kept)), kept.max_items, linked)
    return None


def _limit(age: timedelta | None) -> int | None:
    return None if age is None else duration_us(age)


def _max_age(kept: ObservationsHistoryParams) -> timedelta | None:
    """The smaller limit. By `expire_time` nothing goes that still counts."""
    ages = [] if kept.max_age is None else [kept.max_age]
    if kept.expire_time is not None:
        ages.append(max(kept.expire_time, kept.post_validity))
    return min(ages, default=None)
