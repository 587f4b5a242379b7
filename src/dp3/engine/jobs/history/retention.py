"""Removes what is too old, or too much, of the history of a worker's entities, beside its other work."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple, TypeVar

from dp3.clock import duration_us
from dp3.engine.context import Context
from dp3.engine.jobs.history.packed_rows import Judged, Verdict, judge
from dp3.engine.jobs.job import SlicePace
from dp3.engine.plans import LinkPlan, TypePlan
from dp3.history import history_params
from dp3.history.retention import NO_PARAMS, KeepRule
from dp3.history.segments import SegmentRow, encode_segments
from dp3.model.attrspec import (
    AttrSpecObservations,
    AttrSpecTimeseries,
    AttrSpecType,
    ObservationsHistoryParams,
)
from dp3.model.spec import ModelSpec
from dp3.model.wire import MarkDirty, WireTask, decode_value, encode_tasks
from dp3.store.ports.batches import EndedLink
from dp3.store.ports.retention import (
    FIRST_AGED,
    FIRST_TAG,
    LAST_TAG,
    KeptRow,
    RetentionPass,
    RetentionSlice,
    RowPlace,
    Scope,
    StoredRow,
)

CHUNK = 16 << 10
"""Rows that are sorted by entity before they are looked at; they are found in the order of their age."""

SLICE_S = 0.03
FIRST_SLICE, LARGEST_SLICE = 200, 8_000

T = TypeVar("T")


class AttrPlan(NamedTuple):
    """An attribute with limits: its entity type, its number, what is kept of it, and how its links hold."""

    etype: str
    attr: int
    rule: KeepRule
    link: LinkPlan | None = None

    def scope(self, place: RowPlace) -> Scope:
        """The rows that have to be looked at together with a row."""
        entity, attr, tag, _ = place
        if self.rule.value_by_value:
            return (entity, attr, tag, tag)
        return (entity, attr, FIRST_TAG, LAST_TAG)


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


@dataclass(slots=True)
class _Found:
    """The outcome of a slice: rows, links, and entities that have other values now."""

    removed: list[RowPlace] = field(default_factory=list)
    kept: list[KeptRow] = field(default_factory=list)
    ended: list[EndedLink] = field(default_factory=list)
    dirty: set[int] = field(default_factory=set)
    points: int = 0

    def add(self, verdict: Verdict) -> None:
        self.points += sum(segment.n for segment in verdict.gone)
        for judged in verdict.rows:
            if not judged.segments:
                self.removed.append(judged.row.place)
            elif judged.changed or judged.oldest != judged.row.oldest:
                self.kept.append(_kept(judged))


def _kept(judged: Judged) -> KeptRow:
    points = sum(n for _, _, _, n in judged.segments)
    return judged.oldest, points, encode_segments(judged.segments), judged.row.place


class Retention:
    """Makes passes over what may have to go, which the state finds without looking at the rest."""

    def __init__(self, context: Context, attrs: Sequence[AttrPlan]) -> None:
        self._state = context.store
        self._clock = context.clock
        self._clock_watch = context.clock_watch
        self._lease = context.lease
        self._attrs = attrs
        self._pace = SlicePace(FIRST_SLICE, LARGEST_SLICE, SLICE_S)
        self._record = RetentionPass(context.lease.index, 0, 0)

    def steps(self) -> Iterator[None]:
        """Remove everything that is to go now; pauses after every slice. A pass that is not finished has left
        the rest as it was. Raises `LeaseLost`, `StoreFull`."""
        now = self._clock.now_us()
        if not self._clock_watch.is_trusted:
            return
        self._record = RetentionPass(self._lease.index, now, now)
        for plan in self._attrs:
            yield from self._clean(plan, now)
        self._write(RetentionSlice(self._record._replace(done=1)))

    def _clean(self, plan: AttrPlan, now: int) -> Iterator[None]:
        after, before = FIRST_AGED, plan.rule.limit(now)
        while True:
            rows, last = self._state.retention.aged(self._lease, plan.attr, before, after, CHUNK)
            if last is None:
                return
            after = last
            yield
            if plan.rule.row_by_row:
                yield from self._slices(rows, lambda places: self._judge_rows(plan, places, now))
            else:
                scopes = list(dict.fromkeys(map(plan.scope, rows)))
                yield from self._slices(scopes, lambda some: self._judge_scopes(plan, some, now))

    def _slices(self, items: Sequence[T], judge_some: Callable[[Sequence[T]], None]) -> Iterator[None]:
        first = 0
        while first < len(items):
            some = items[first : first + self._pace.size]
            started = time.perf_counter()
            judge_some(some)
            self._pace.learn(len(some), time.perf_counter() - started)
            first += len(some)
            yield

    def _judge_rows(self, plan: AttrPlan, places: Sequence[RowPlace], now: int) -> None:
        found, rows = _Found(), self._state.retention.stored_rows(places)
        for row in rows:
            verdict = judge([row], (), plan.rule, now)
            found.add(verdict)
            if verdict.dirty:
                found.dirty.add(row.entity)
        self._apply(plan, found, len(rows))

    def _judge_scopes(self, plan: AttrPlan, scopes: Sequence[Scope], now: int) -> None:
        found, looked = _Found(), 0
        for scope, (rows, fresh) in self._read(plan, scopes).items():
            verdict = judge(rows, fresh, plan.rule, now)
            found.add(verdict)
            looked += len(rows)
            if verdict.dirty:
                found.dirty.add(scope[0])
                found.ended += _ended(plan, scope[0], verdict, fresh, now)
        self._apply(plan, found, looked)

    def _read(
        self, plan: AttrPlan, scopes: Sequence[Scope]
    ) -> dict[Scope, tuple[list[StoredRow], list[SegmentRow[bytes]]]]:
        """The packed rows of each scope, and what there is beside them."""
        packed, points = self._state.retention.scoped(scopes, whole=plan.link is not None)
        fresh: dict[int, list[SegmentRow[bytes]]] = {entity: [] for entity, *_ in scopes}
        for point in points:
            fresh[point.entity].append((point.t1, point.t2, point.c or 0, point.v, 1))
        read: dict[Scope, tuple[list[StoredRow], list[SegmentRow[bytes]]]] = {}
        for row in packed:
            rows, _ = read.setdefault(plan.scope(row.place), ([], fresh[row.entity]))
            rows.append(row)
        return read

    def _apply(self, plan: AttrPlan, found: _Found, rows: int) -> None:
        record = self._record
        self._record = record._replace(rows=record.rows + rows, points=record.points + found.points)
        slice_ = RetentionSlice(self._record, found.removed, found.kept, found.ended, points=found.points)
        if found.dirty:
            slice_.tasks = self._tasks(plan, found.dirty)
        self._write(slice_)

    def _tasks(self, plan: AttrPlan, entities: Iterable[int]) -> bytes:
        known = self._state.entities.by_key(sorted(entities)).values()
        tasks = [WireTask(plan.etype, eid, [], system_task=MarkDirty()) for _, eid, _ in known]
        return encode_tasks(tasks) if tasks else b""

    def _write(self, slice_: RetentionSlice) -> None:
        slice_.record = slice_.record._replace(updated=self._clock.now_us())
        self._state.retention.write(self._lease, slice_)


def _ended(
    plan: AttrPlan, entity: int, verdict: Verdict, fresh: Iterable[SegmentRow[bytes]], now: int
) -> list[EndedLink]:
    """Links that held by what is gone: until when they hold by what is left."""
    if plan.link is None:
        return []
    gone = ((segment.t2, segment.v) for segment in verdict.gone if segment.t2 + plan.link.post > now)
    until = {target: now for target, _ in _links(plan.link, entity, gone)}
    packed = ((t2, judged.row.v) for judged in verdict.rows for _, t2, _, _ in judged.segments)
    left = [*packed, *((t2, v) for _, t2, _, v, _ in fresh)]
    for target, end in _links(plan.link, entity, left) if until else ():
        if target in until:
            until[target] = max(until[target], end)
    return [EndedLink(entity, plan.attr, plan.link.target, target, end) for target, end in until.items()]


def _links(link: LinkPlan, entity: int, seen: Iterable[tuple[int, bytes]]) -> Iterator[tuple[str, int]]:
    """The targets of values, and until when they are linked."""
    for t2, v in seen:
        for row in link.observed(entity, 0, 0, t2, decode_value(v)):
            yield row.target_eid, row.until
