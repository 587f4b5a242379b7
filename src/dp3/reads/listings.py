"""Many entities: their latest snapshots, or their values as of a moment, by filter, in order, in pages."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dp3.engine.jobs.snapshots.doc import decode_doc, expand
from dp3.model.spec import ModelSpec
from dp3.reads.as_of import AsOf, Document
from dp3.reads.doubts import Doubts, Warn, unheard
from dp3.reads.errors import CursorError
from dp3.reads.query.conditions import Check, Condition, matcher
from dp3.reads.query.filters import parse_filters
from dp3.reads.query.places import Place, Places
from dp3.reads.query.planning import Plan, make_plan, searches_texts
from dp3.reads.snapshots import MAX_ROWS, dated_document
from dp3.reads.sorting import parse_sort, sort_documents
from dp3.store.ports.errors import QueryTooSlow
from dp3.store.ports.queries import Found, Order, Queries, Where

FIRST_PAGE = 125
PAGE_ROWS = 2_000
"""Rows asked of the store at once: few at first, never so many that a read takes long."""

LISTING_S = 10.0
"""An answer that takes longer is cut off."""

WALK_S = 5.0
"""A walk over the entities of a type ends after this time."""


class Window(NamedTuple):
    """The wanted part of a result: after `cursor` (of the last row of an earlier answer) or its beginning,
    without the first `skip` rows, at most `limit` rows; 0 is as many as an answer may have."""

    skip: int = 0
    limit: int = 20
    cursor: str | None = None

    @property
    def rows(self) -> int:
        """The greatest number of rows."""
        return min(self.limit or MAX_ROWS, MAX_ROWS)


@dataclass(slots=True)
class Listing:
    """Documents of one answer. `run_time`: that of the last one; `cursor` continues, None at the end;
    `truncated`: it was cut off before the limit that was asked for; `total`: how many match in all, None if
    that would take asking every snapshot or text."""

    documents: list[Document] = field(default_factory=list)
    run_time: int | None = None
    cursor: str | None = None
    truncated: bool = False
    total: int | None = None


class Listings:
    """Answers about many entities. `fulltext` and `generic` are the two filters, decoded JSON or None; `warn`
    takes what is to be said about them."""

    def __init__(
        self,
        queries: Queries,
        as_of: AsOf,
        model: ModelSpec,
        places: Mapping[str, Places],
        doubts: Doubts,
    ) -> None:
        self._queries = queries
        self._doubts = doubts
        self._as_of = as_of
        self._model = model
        self._places = places
        self._attribs = {etype: model.attribs(etype) for etype in model.entities}

    def latest(
        self,
        etype: str,
        fulltext: Any = None,
        generic: Any = None,
        window: Window = Window(),
        sort: Sequence[str] = (),
        warn: Warn = unheard,
    ) -> Listing:
        """Latest snapshots that match. Raises `QueryError`, `SortError`, `CursorError`, `QueryTooLarge`,
        `QueryTooSlow`."""
        condition = self._condition(etype, fulltext, generic, warn)
        orders = parse_sort(self._model, etype, sort) if sort else ()
        plan = make_plan(condition)
        try:
            found = self._page(etype, plan, orders, window)
        except ValueError as error:
            raise CursorError(str(error)) from None
        found.total = self._total(etype, plan, window, found)
        return found

    def as_of(
        self,
        at: int,
        etype: str,
        fulltext: Any = None,
        generic: Any = None,
        window: Window = Window(),
        sort: Sequence[str] = (),
        warn: Warn = unheard,
    ) -> Listing:
        """Entities whose values at a moment (µs) match, by id or sorted. Only entities that exist now.

        A cursor continues a listing by id. Raises `QueryError`, `SortError`."""
        condition = self._condition(etype, fulltext, generic, warn, as_of=True)
        orders = parse_sort(self._model, etype, sort)
        wanted = window.rows + window.skip
        found = self._walk(etype, matcher(condition), at, window.cursor, None if orders else wanted)
        sort_documents(found.documents, orders, self._places[etype])
        more = found.cursor is not None or len(found.documents) > wanted
        found.documents = found.documents[window.skip : wanted]
        found.run_time = at if found.documents else None
        if orders:
            found.cursor = None
        found.truncated = found.truncated or (more and window.limit != window.rows)
        return found

    def count(self, etype: str, fulltext: Any = None, generic: Any = None, warn: Warn = unheard) -> int:
        """The number of latest snapshots that match. Raises `QueryError`, `QueryTooLarge`,
        `QueryTooSlow`."""
        return self._count(etype, make_plan(self._condition(etype, fulltext, generic, warn)))

    def count_as_of(
        self, at: int, etype: str, fulltext: Any = None, generic: Any = None, warn: Warn = unheard
    ) -> tuple[int, bool]:
        """The number of entities that match at a moment (µs), and whether time was too short for all."""
        check = matcher(self._condition(etype, fulltext, generic, warn, as_of=True))
        found = self._walk(etype, check, at, None, None)
        return len(found.documents), found.truncated

    def by_id(self, etype: str, eids: Sequence[str]) -> Listing:
        """Latest snapshots of those entities that have one, in the order of their ids."""
        known = self._queries.latest(etype, eids)
        rows = [known[eid] for eid in eids if eid in known]
        run_time = rows[-1].run_time if rows else None
        return Listing([_document(row) for row in rows], run_time)

    def all(self, etype: str, where: Where) -> Iterator[Document]:
        """All latest snapshots that match, read in pages. Raises `QueryTooSlow`."""
        deadline = time.monotonic() + LISTING_S
        for row in self._rows(etype, where, (), Window(), PAGE_ROWS):
            yield _document(row)
            if time.monotonic() > deadline:
                raise QueryTooSlow(f"each snapshot has to be looked at, and {LISTING_S:g} s were not enough")

    def _condition(
        self, etype: str, fulltext: Any, generic: Any, warn: Warn, *, as_of: bool = False
    ) -> Condition:
        seen: list[Place] = []
        condition = parse_filters(self._places[etype], self._attribs[etype], fulltext, generic, seen.append)
        self._doubts.judge(etype, seen, warn, as_of=as_of)
        return condition

    def _page(self, etype: str, plan: Plan, orders: Sequence[Order], window: Window) -> Listing:
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

    def _total(self, etype: str, plan: Plan, window: Window, found: Listing) -> int | None:
        rows = len(found.documents)
        if found.cursor is None and window.cursor is None and (rows or not window.skip):
            return window.skip + rows
        if plan.check is not None or searches_texts(plan.where):
            return None
        return self._count(etype, plan)

    def _count(self, etype: str, plan: Plan) -> int:
        check = self._check(etype, plan)
        if check is None:
            return self._queries.count(etype, plan.where)
        total, where = 0, plan.where
        if plan.markers:
            total, where = self._queries.count(etype, plan.unmarked), plan.marked
        deadline = time.monotonic() + LISTING_S
        for _, document in self._checked(etype, where, check, (), Window()):
            total += document is not None
            if time.monotonic() > deadline:
                raise QueryTooSlow(
                    f"each snapshot has to be looked at, and {LISTING_S:g} s were not enough for all; "
                    "narrow the filter by an equality, a range or a prefix"
                )
        return total

    def _matching(
        self, etype: str, plan: Plan, orders: Sequence[Order], window: Window
    ) -> Iterator[tuple[Found, Document | None]]:
        """Rows in order from the window's beginning; each with its document, if it belongs to the result."""
        if check := self._check(etype, plan):
            yield from self._checked(etype, plan.where, check, orders, window)
            return
        for row in self._rows(etype, plan.where, orders, window, window.rows):
            yield row, _document(row)

    def _check(self, etype: str, plan: Plan) -> Check | None:
        """The check that documents have to pass, if one is needed."""
        if plan.check_marked and self._queries.any_keys(etype, plan.markers):
            return plan.check_marked()
        return plan.check

    def _checked(
        self, etype: str, where: Where, check: Check, orders: Sequence[Order], window: Window
    ) -> Iterator[tuple[Found, Document | None]]:
        """As `_matching`, by a check of each document."""
        skip = window.skip
        for row in self._rows(etype, where, orders, window._replace(skip=0), FIRST_PAGE):
            matches = check(dated_document(row.run_time, row.doc))
            yield row, _document(row) if matches and not skip else None
            skip -= matches and skip > 0

    def _rows(
        self, etype: str, where: Where, orders: Sequence[Order], window: Window, first: int
    ) -> Iterator[Found]:
        """Rows in order, `first` rows at once, then more: often the first are enough."""
        skip, cursor, size = window.skip, window.cursor, min(first, PAGE_ROWS)
        while page := self._queries.find(etype, where, orders, skip, size, cursor):
            yield from page
            if len(page) < size:
                return
            skip, cursor, size = 0, page[-1].cursor, min(size * 4, PAGE_ROWS)

    def _walk(self, etype: str, check: Check, at: int, after: str | None, wanted: int | None) -> Listing:
        """Entities by id whose values at a moment pass; ends early, with a cursor, when it has as many as
        wanted or its time is over (then it is `truncated`)."""
        walk = Listing()
        deadline = time.monotonic() + WALK_S
        for eid, document in self._as_of.all(etype, at, after):
            if check(document):
                walk.documents.append(document)
            if len(walk.documents) == wanted:
                walk.cursor = eid
                return walk
            if time.monotonic() > deadline:
                walk.cursor, walk.truncated = eid, True
                return walk
        return walk


def _document(row: Found) -> Document:
    return expand(decode_doc(row.doc), row.run_time)
