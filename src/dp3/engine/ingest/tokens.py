"""Tokens: until when an entity is kept, by name. Pure."""

from collections.abc import Iterable, Mapping, Set
from typing import NamedTuple

from dp3.clock import LAST_US
from dp3.engine.plans import Kind, LifePlan, Lifetime, TypePlan
from dp3.model.wire import WirePoint
from dp3.store.ports.batches import Batch
from dp3.store.ports.lifetimes import NOT_BEFORE_NEXT

BASE, DATA = "base", "data"
"""The names of the tokens that the platform gives: at creation, and for data."""


class Tokens:
    """The tokens that a batch gives; of several with one name the latest counts."""

    def __init__(self) -> None:
        self._until: dict[tuple[int, str], int] = {}

    def created(self, life: LifePlan, entity: int, now: int) -> None:
        """An entity was made at `now` (µs)."""
        if life.lifetime is Lifetime.TTL:
            self.extend(entity, {BASE: now + life.on_create})

    def kept_by(self, plan: TypePlan, entity: int, now: int, points: Iterable[WirePoint]) -> None:
        """Data-points keep their entity: plain ones from now on, others from their end on."""
        keeps, until = plan.life.keeps, 0
        for point in points:
            attr, kind = plan.attrs.get(point.attr, (0, None))
            if attr in keeps:
                start = now if kind is Kind.PLAIN else point.t2
                if start is not None:
                    until = max(until, start + keeps[attr])
        if until:
            self.extend(entity, {DATA: until})

    def extend(self, entity: int, tokens: Mapping[str, int]) -> None:
        """Give tokens."""
        for name, until in tokens.items():
            known = self._until.get((entity, name), until)
            self._until[entity, name] = min(max(known, until), LAST_US)

    def put_into(self, batch: Batch, gone: Set[int]) -> None:
        """What is to be stored, but nothing of entities that are `gone`."""
        for (entity, name), until in self._until.items():
            if entity not in gone:
                batch.ttl.append((entity, name, until))
                batch.expiry_checks[entity] = min(batch.expiry_checks.get(entity, until), until)


class Verdict(NamedTuple):
    """What becomes of an entity: whether its life is over, or else which tokens are; when to look again."""

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
