"""Removes what is too old, or too much, of the history of a worker's entities, beside its other work."""

import time
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from dp3.engine.context import Context
from dp3.engine.jobs.history.attr_plans import AttrPlan
from dp3.engine.jobs.history.due import Due, Surroundings, by_entity, carry_over, due_in, take
from dp3.engine.jobs.history.packed_rows import Judged, Verdict, judge, span_of, without_old
from dp3.engine.jobs.job import SlicePace
from dp3.engine.plans import FOREVER, LinkPlan
from dp3.history.segments import SegmentRow, encode_segments
from dp3.model.wire import MarkDirty, WireTask, decode_value, encode_tasks
from dp3.store.ports.batches import EndedLink
from dp3.store.ports.retention import (
    FIRST_AGED,
    KeptRow,
    RetentionPass,
    RetentionSlice,
    RowPlace,
    StoredRow,
)

CHUNK = 16 << 10
"""Rows that are sorted by entity before they are looked at; they are found in the order of their age."""

SLICE_S = 0.03
FIRST_SLICE, LARGEST_SLICE = 1_000, 8_000


@dataclass(slots=True)
class _Found:
    """The outcome of a slice: rows, links, entities that have other values now, and rows looked at."""

    removed: list[RowPlace] = field(default_factory=list)
    kept: list[KeptRow] = field(default_factory=list)
    ended: list[EndedLink] = field(default_factory=list)
    dirty: set[int] = field(default_factory=set)
    scans_until: dict[tuple[int, int], int] = field(default_factory=dict)
    points: int = 0
    looked: int = 0

    def add(self, rows: Iterable[Judged], known_until: int, due: Container[RowPlace] | None = None) -> None:
        """Take over what is left of rows; those that are `due`, or all, are to be looked at at another
        time. Scans may know what went if they are at moments up to `known_until`."""
        for judged in rows:
            row, left = judged.row, judged.segments
            if judged.changed and not row.is_timeseries:
                attr = row.place[:2]
                self.scans_until[attr] = max(known_until, self.scans_until.get(attr, known_until))
            if not left:
                self.removed.append(row.place)
                self.points += row.points
                continue
            points, oldest = sum([segment[3] for segment in left]), judged.oldest
            if judged.changed:
                self.points += row.points - points
            elif oldest == row.oldest or (due is not None and row.place not in due):
                continue
            first = left[0][0] if left[0][0] < oldest and not row.is_timeseries else None
            last = max([segment[1] for segment in left])
            self.kept.append((oldest, first, last, points, encode_segments(left), row.place))


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
            page = self._state.retention.aged(self._lease, plan.attr, before, after, CHUNK)
            if page.last is None:
                return
            after = page.last
            yield
            waiting = due_in(plan, page, before)
            while waiting:
                started, some = time.perf_counter(), take(waiting, self._pace.size)
                found = self._judge_some(plan, some, now)
                carry_over(((*place, oldest) for oldest, *_, place in found.kept), some[-1], waiting)
                self._pace.learn(sum(len(due.rows) for due in some), time.perf_counter() - started)
                yield

    def _judge_some(self, plan: AttrPlan, some: Sequence[Due], now: int) -> _Found:
        found = _Found()
        if plan.rule.whole:
            self._judge_whole(plan, some, now, found)
        else:
            self._judge_due(plan, some, now, found)
        self._apply(plan, found)
        return found

    def _judge_whole(self, plan: AttrPlan, some: Sequence[Due], now: int, found: _Found) -> None:
        limit = plan.rule.limit(now)
        scopes = [due.scope for due in some]
        packed, points = self._state.retention.scoped(scopes, whole=plan.link is not None)
        fresh, by_scope = by_entity(points), dict[int, list[StoredRow]]()
        for row in packed:
            by_scope.setdefault(row.entity, []).append(row)
        for entity, rows in by_scope.items():
            verdict = judge(rows, fresh.get(entity, ()), plan.rule, limit, now)
            found.looked += len(rows)
            self._add(plan, rows, verdict, now, found)
            if verdict.dirty:
                found.ended += _ended(plan, entity, verdict, fresh.get(entity, ()), now)

    def _judge_due(self, plan: AttrPlan, some: Sequence[Due], now: int, found: _Found) -> None:
        around = Surroundings(self._state.retention, plan, some)
        for due in some:
            rows = around.rows_of(due)
            span = span_of(rows, due.limit)
            found.looked += len(rows)
            if around.is_alone(due, span, now):
                found.add(without_old(rows, due.limit), _known_until(plan, now))
            elif rows:
                verdict, others = around.judge(due, span, now)
                found.looked += others
                self._add(plan, rows, verdict, now, found)

    def _add(
        self, plan: AttrPlan, due: Sequence[StoredRow], verdict: Verdict, now: int, found: _Found
    ) -> None:
        entity, until = due[0].entity, _known_until(plan, now)
        if verdict.separates or plan.rule.max_items is not None:
            until = FOREVER
        found.add(verdict.rows, until, {row.place for row in due})
        if verdict.dirty:
            found.dirty.add(entity)

    def _apply(self, plan: AttrPlan, found: _Found) -> None:
        record = self._record
        self._record = record._replace(rows=record.rows + found.looked, points=record.points + found.points)
        slice_ = RetentionSlice(self._record, found.removed, found.kept, found.ended, points=found.points)
        slice_.scans_until = found.scans_until
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


def _known_until(plan: AttrPlan, now: int) -> int:
    """Up to which moment scans know what goes by age: it was valid then, or could be joined by what came."""
    rule = plan.rule
    return rule.limit(now) + max(rule.reach, rule.params.post)


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
