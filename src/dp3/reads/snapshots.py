"""Snapshots as they were stored: latest ones by filter or id, and the series of one entity."""

import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dp3.reads.profiles import Span
from dp3.reads.query.documents import Document, dated_document, document_of
from dp3.reads.query.matching import Check
from dp3.reads.query.planning import Plan, searches_texts
from dp3.store.ports.errors import QueryTooSlow
from dp3.store.ports.queries import Found, Order, Where
from dp3.store.ports.state import State

MAX_ROWS = 50_000
"""Rows of one answer."""

FIRST_PAGE = 125
PAGE_ROWS = 2_000
"""Rows asked of the store at once: few at first, never so many that a read takes long."""

LISTING_S = 10.0
"""An answer that takes longer is cut off."""


class Window(NamedTuple):
    """Which part of a result: after `cursor` (of the last row of an earlier answer) or its beginning, without
    the first `skip` rows, at most `limit` rows; 0 is as many as an answer may have."""

    skip: int = 0
    limit: int = 20
    cursor: str | None = None

    @property
    def rows(self) -> int:
        """How many rows at most."""
        return min(self.limit or MAX_ROWS, MAX_ROWS)


@dataclass(slots=True)
class Listing:
    """Documents of one answer. `run_time`: that of the last one; `cursor` continues, None at the end;
    `truncated`: it was cut off before the limit that was asked for."""

    documents: list[Document] = field(default_factory=list)
    run_time: int | None = None
    cursor: str | None = None
    truncated: bool = False


class Snapshots:
    """Answers from stored snapshots. Reads the state at every call; may be used from any thread."""

    def __init__(self, state: State) -> None:
        self._state = state

    def listing(self, etype: str, plan: Plan, orders: Sequence[Order], window: Window) -> Listing:
        """Latest snapshots that match. Raises `ValueError` for a cursor of another question."""
        found = Listing()
        deadline = time.monotonic() + LISTING_S
        for row, document in self._matching(etype, plan, orders, window):
            found.cursor = row.cursor
            if document is not None:
                found.documents.append(document)
                found.run_time = row.run_time
            if len(found.documents) == window.rows:
                found.truncated = window.rows != window.limit
                return found
            if time.monotonic() > deadline:
                found.truncated = True
                return found
        found.cursor = None
        return found

    def count(self, etype: str, plan: Plan) -> int:
        """How many match. Raises `QueryTooSlow`."""
        check = self._check(etype, plan)
        if check is None:
            return self._state.queries.count(etype, plan.where)
        total, where = 0, plan.where
        if plan.markers:
            total, where = self._state.queries.count(etype, plan.unmarked), plan.marked
        deadline = time.monotonic() + LISTING_S
        for _, document in self._checked(etype, where, check, (), Window()):
            total += document is not None
            if time.monotonic() > deadline:
                raise QueryTooSlow(
                    f"each snapshot has to be looked at, and {LISTING_S:g} s were not enough for all; "
                    "narrow the filter by an equality, a range or a prefix"
                )
        return total

    def total(self, etype: str, plan: Plan, window: Window, listing: Listing) -> int | None:
        """How many match in all; None if that would take asking every snapshot or text."""
        rows = len(listing.documents)
        if listing.cursor is None and window.cursor is None and (rows or not window.skip):
            return window.skip + rows
        if plan.check is not None or searches_texts(plan.where):
            return None
        return self.count(etype, plan)

    def latest(self, etype: str, eids: Sequence[str]) -> Listing:
        """Latest snapshots of those entities that have one, in the order of their ids."""
        known = self._state.queries.latest(etype, eids)
        rows = [known[eid] for eid in eids if eid in known]
        run_time = rows[-1].run_time if rows else None
        return Listing([document_of(row.run_time, row.doc) for row in rows], run_time)

    def series(self, etype: str, eid: str, span: Span, skip: int = 0, limit: int = 0) -> list[Document]:
        """The entity's snapshots of all runs in `span`, oldest first, each with the time of its run.

        `limit` 0 is as many as an answer may have."""
        runs = self._state.runs.between(*span.bounds())
        rows = self._state.snapshots.of(etype, eid)  # after the runs: all that they wrote is there
        if not rows:
            return []
        firsts = [row.run for row in rows]
        runs = [run for run in runs if run.id >= firsts[0]]
        covered = self._state.runs.covered(rows[0].entity, [run.id for run in runs])
        shown = [run for run in runs if run.id in covered][skip : skip + min(limit or MAX_ROWS, MAX_ROWS)]
        return [dated_document(run.time, rows[bisect_right(firsts, run.id) - 1].doc) for run in shown]

    def all(self, etype: str, where: Where) -> Iterator[Document]:
        """All latest snapshots that match, read in pages. Raises `QueryTooSlow`."""
        deadline = time.monotonic() + LISTING_S
        for row in self._rows(etype, where, (), Window(), PAGE_ROWS):
            yield document_of(row.run_time, row.doc)
            if time.monotonic() > deadline:
                raise QueryTooSlow(f"each snapshot has to be looked at, and {LISTING_S:g} s were not enough")

    def _matching(
        self, etype: str, plan: Plan, orders: Sequence[Order], window: Window
    ) -> Iterator[tuple[Found, Document | None]]:
        """Rows in order from the window's beginning; each with its document, if it belongs to the result."""
        if check := self._check(etype, plan):
            yield from self._checked(etype, plan.where, check, orders, window)
            return
        for row in self._rows(etype, plan.where, orders, window, window.rows):
            yield row, document_of(row.run_time, row.doc)

    def _check(self, etype: str, plan: Plan) -> Check | None:
        """The check that documents have to pass, if one is needed."""
        if plan.check_marked and self._state.queries.any_keys(etype, plan.markers):
            return plan.check_marked()
        return plan.check

    def _checked(
        self, etype: str, where: Where, check: Check, orders: Sequence[Order], window: Window
    ) -> Iterator[tuple[Found, Document | None]]:
        """As `_matching`, by a check of each document."""
        skip = window.skip
        for row in self._rows(etype, where, orders, window._replace(skip=0), FIRST_PAGE):
            matches = check(dated_document(row.run_time, row.doc))
            yield row, document_of(row.run_time, row.doc) if matches and not skip else None
            skip -= matches and skip > 0

    def _rows(
        self, etype: str, where: Where, orders: Sequence[Order], window: Window, first: int
    ) -> Iterator[Found]:
        """Rows in order, `first` rows at once, then more: often the first are enough."""
        skip, cursor, size = window.skip, window.cursor, min(first, PAGE_ROWS)
        while page := self._state.queries.find(etype, where, orders, skip, size, cursor):
            yield from page
            if len(page) < size:
                return
            skip, cursor, size = 0, page[-1].cursor, min(size * 4, PAGE_ROWS)
