"""Packed rows that are due, and the rows that matter for what goes of them.

Rows are due from their first `t1` on (`oldest`), those that retention has left from when something of them
may end. So whatever else begins before the limit was left by it before, and is found by that; and what
begins later matters only if validities reach it, or if it is joined to something that begins before what
goes.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from dp3.engine.jobs.history.attr_plans import AttrPlan
from dp3.engine.jobs.history.packed_rows import NOTHING_OLD, Span, Verdict, judge
from dp3.history.segments import SegmentRow
from dp3.store.ports.entities import HistoryRow
from dp3.store.ports.retention import AgedPage, AgedRow, Retention, Scope, StoredRow

MOST_DUE = 128
"""Rows of one history that are judged at a time, by a limit that lies so much earlier; twice as many each
time, so that what begins after the limit is not read too often."""

FIRST_NEAR, GROWTH = 16, 4
"""Rows that begin after the limit: so many are read first, so many times more if that is too few."""

_oldest = itemgetter(4)


class Due(NamedTuple):
    """The rows of a scope that are due before `limit` (µs): all of them."""

    scope: Scope
    limit: int
    rows: list[AgedRow]


def due_in(plan: AttrPlan, page: AgedPage, before: int) -> list[Due]:
    """The rows of a page by scope; the last ones first, to be taken from the end."""
    found, whole = list[Due](), plan.rule.whole
    for scope, some in groupby(page.rows, plan.scope):
        rows, limit = [*some], page.limit(scope[0], before)
        if whole or len(rows) <= MOST_DUE:
            found.append(Due(scope, limit, rows))
        else:
            found += _parts(scope, limit, rows)
    found.reverse()
    return found


def _parts(scope: Scope, limit: int, rows: list[AgedRow]) -> list[Due]:
    """Very many rows in portions. What is kept at an earlier limit includes what is kept later."""
    rows.sort(key=_oldest)
    parts, at, most = list[Due](), 0, MOST_DUE
    while at < len(rows):
        end = at + most
        while end < len(rows) and rows[end][4] == rows[end - 1][4]:
            end += 1
        parts.append(Due(scope, limit if end >= len(rows) else rows[end][4], rows[at:end]))
        at, most = end, most * 2
    return parts


def take(waiting: list[Due], most: int) -> list[Due]:
    """The next ones, with so many rows, but at least one; and none beside another part of its scope."""
    some, rows, scopes = list[Due](), 0, set[Scope]()
    while waiting and waiting[-1].scope not in scopes and (not some or rows + len(waiting[-1].rows) <= most):
        due = waiting.pop()
        some.append(due)
        scopes.add(due.scope)
        rows += len(due.rows)
    return some


def carry_over(kept: Iterable[AgedRow], judged: Due, waiting: Sequence[Due]) -> None:
    """Rows that are left of a portion are judged with the next one of its scope, which has a later limit."""
    if waiting and waiting[-1].scope == judged.scope:
        scope, limit, rows = waiting[-1]
        places = {row[:4] for row in rows}
        entity, _, first, last = scope
        rows += [
            row
            for row in kept
            if row[0] == entity and first <= row[2] <= last and row[4] < limit and row[:4] not in places
        ]


class Surroundings:
    """The rows that are due, and what began before their limits and stayed: packed or not."""

    def __init__(self, retention: Retention, plan: AttrPlan, some: Sequence[Due]) -> None:
        self._retention = retention
        self._rule = plan.rule
        self._row_by_row, self._reach = plan.rule.row_by_row, plan.rule.reach
        scope = plan.scope
        due_rows = retention.stored_rows([row for due in some for row in due.rows])
        self._rows = {of: [*rows] for of, rows in groupby(due_rows, lambda row: scope(row.place))}
        self._before: dict[Scope, list[StoredRow]] = {}
        self._fresh: dict[int, list[SegmentRow[bytes]]] = {}
        if not self._row_by_row:
            for row in retention.begun_before([(due.scope, due.limit) for due in some]):
                self._before.setdefault(scope(row.place), []).append(row)
            self._fresh = by_entity(retention.unpacked({due.scope[:2] for due in some}))

    def rows_of(self, due: Due) -> list[StoredRow]:
        """Those that are due."""
        return self._rows.get(due.scope, [])

    def is_alone(self, due: Due, span: Span, now: int) -> bool:
        """True if all goes that ended before the limit, as nothing of the rest can be joined to it or be kept
        apart by it, and it holds no more."""
        if span.old_end == NOTHING_OLD:
            return True
        if span.old_end + self._rule.params.post >= now:
            return False
        if self._row_by_row:
            return True
        if due.scope in self._before or due.scope[0] in self._fresh:
            return False
        return span.old_end + self._reach < min(span.rest_begin, due.limit)

    def judge(self, due: Due, span: Span, now: int) -> tuple[Verdict, int]:
        """The verdict on the rows that are due and those that matter for it; the number of the latter."""
        rows = [*self._rows[due.scope], *self._before.get(due.scope, ())]
        fresh = self._fresh.get(due.scope[0], ())
        until, most = span.old_end + self._reach, FIRST_NEAR
        while True:
            near, known = self._near(due, until, most)
            verdict = judge([*rows, *near], fresh, self._rule, due.limit, now)
            if verdict.known_until <= known:
                return verdict, len(rows) + len(near) - len(self._rows[due.scope])
            until, most = max(until, verdict.known_until), most * GROWTH

    def _near(self, due: Due, until: int, most: int) -> tuple[list[StoredRow], int]:
        """Rows that begin after the limit, and up to which begin all are known."""
        if self._row_by_row:
            return [], until
        if until < due.limit:
            return [], due.limit - 1
        near = self._retention.begun_between(due.scope, due.limit, until, most)
        return near, until if len(near) < most else near[-1].begin - 1


def by_entity(points: Sequence[HistoryRow]) -> dict[int, list[SegmentRow[bytes]]]:
    """Observations of one attribute that are not packed, by entity."""
    fresh: dict[int, list[SegmentRow[bytes]]] = {}
    for point in points:
        fresh.setdefault(point.entity, []).append((point.t1, point.t2, point.c or 0, point.v, 1))
    return fresh
