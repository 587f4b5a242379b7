"""Which of the packed history of an attribute goes, by its age or its number. Pure.

What goes is always a whole stretch as readers see it: united, and joined across gaps. What stays is seen as
before. So a stretch stays as long as a part of it is not packed, and one of another value that keeps two
apart stays as long as they do. Parts of one that stays become one part when they are older than what goes by
age: else what never ends would have ever more of them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from dp3.history import Params, Segment, bridge, confidence_at
from dp3.history.old_parts import old_parts
from dp3.history.packed import Stretch
from dp3.history.shown import Finder, Shown, depends_on_others, show
from dp3.store.ports.retention import AT_ONCE, StoredRow

NO_PARAMS = Params(aggregate=False)
"""How the data-points of a timeseries are looked at: each by itself."""


class KeepRule(NamedTuple):
    """What is kept of an attribute: what ended in the last `max_age` µs, and that many stretches that ended
    last. None is no limit. `linked`: the values are links, which end with them."""

    params: Params
    max_age: int | None = None
    max_items: int | None = None
    linked: bool = False

    def limit(self, now: int) -> int:
        """What ended before it (µs) goes."""
        return AT_ONCE + 1 if self.max_age is None else now - self.max_age

    @property
    def row_by_row(self) -> bool:
        """Whether a packed row can be judged without any other."""
        alone = not self.params.aggregate and not self.params.multi_value
        return alone and self.max_items is None and not self._ends_links

    @property
    def value_by_value(self) -> bool:
        """Whether a value can be judged without the others."""
        return self.max_items is None and not depends_on_others(self.params) and not self._ends_links

    @property
    def _ends_links(self) -> bool:
        """Whether a link may go that holds: then it matters whether others of the same target stay."""
        holds = self.max_items is not None or (self.max_age or 0) < self.params.post
        return self.linked and holds


class Judged(NamedTuple):
    """What is left of a row."""

    row: StoredRow
    stretches: list[Stretch]
    oldest: int

    @property
    def changed(self) -> bool:
        """Whether anything is gone, or joined to what is here."""
        return self.stretches != self.row.stretches


class Verdict(NamedTuple):
    """What becomes of rows. `gone`: what readers do not see any more. `noticed`: another value may hold now,
    or several ones in another order."""

    rows: list[Judged]
    gone: list[Segment]
    noticed: bool


def judge(rows: Sequence[StoredRow], fresh: Iterable[Segment], rule: KeepRule, now: int) -> Verdict:
    """What becomes of packed rows at a moment (µs): those of one attribute, and of all values that matter for
    each other. `fresh` is the rest of their history."""
    packed = [Segment(t1, t2, c or 0, n, row.v) for row in rows for t1, t2, c, n in row.stretches]
    shown = show(packed, list(fresh), rule.params)
    limit = rule.limit(now)
    kept = _young(shown, limit, rule.params)
    if rule.max_items is not None:
        kept = _newest(shown, kept, rule.max_items, rule.params)
    gone = [stretch for number, stretch in enumerate(shown.stretches) if number not in kept]
    joined = old_parts(packed, shown, kept, limit, rule.params)
    judged = _by_row(rows, _left(rows, shown, kept, joined), shown, _ends(shown, kept, limit))
    return Verdict(judged, gone, _noticed(shown, kept, gone, rule.params, now))


def _left(
    rows: Iterable[StoredRow], shown: Shown, kept: Collection[int], joined: Iterable[Sequence[int]]
) -> list[Stretch | None]:
    """What becomes of each packed part. What is joined is where the first of it was."""
    parts = [stretch for row in rows for stretch in row.stretches]
    left = [part if number in kept else None for part, number in zip(parts, shown.of_packed, strict=True)]
    for places in joined:
        some = [parts[at] for at in places]
        for at in places[1:]:
            left[at] = None
        left[places[0]] = (
            some[0][0],
            max(t2 for _, t2, _, _ in some),
            sum(c_sum or 0 for _, _, c_sum, _ in some),
            sum(n for _, _, _, n in some),
        )
    return left


def _by_row(
    rows: Iterable[StoredRow], left: Sequence[Stretch | None], shown: Shown, ends: Mapping[int, int]
) -> list[Judged]:
    judged, first = [], 0
    for row in rows:
        end = first + len(row.stretches)
        some = [(part, ends[shown.of_packed[at]]) for at in range(first, end) if (part := left[at])]
        judged.append(Judged(row, [part for part, _ in some], min([e for _, e in some], default=row.oldest)))
        first = end
    return judged


# -- by age --------------------------------------------------------------------------------------------
def _young(shown: Shown, limit: int, params: Params) -> set[int]:
    """What has not ended before the limit, is not packed, or keeps such apart."""
    kept = {number for number, stretch in enumerate(shown.stretches) if stretch.t2 >= limit}
    kept |= shown.unpacked
    while len(kept) < len(shown.stretches) and (pairs := _joined(shown, kept, params)):
        for earlier, later in pairs:
            kept |= _between(shown, earlier, later)
    return kept


def _joined(shown: Shown, kept: Collection[int], params: Params) -> list[tuple[int, int]]:
    """Neighbours of those kept that would be seen as one."""
    if not depends_on_others(params):
        return []
    again = bridge([part for part, number in shown.united if number in kept], params)
    if len(again) == len(kept):
        return []
    finder, before = Finder(again), dict[int, int]()
    pairs = []
    for number in sorted(kept):
        one = finder.number(shown.stretches[number])
        if one in before:
            pairs.append((before[one], number))
        before[one] = number
    return pairs


def _between(shown: Shown, earlier: int, later: int) -> set[int]:
    """What begins in the gap between two of one value, or in the last part before it."""
    begin = max(part.t1 for part, number in shown.united if number == earlier)
    end = shown.stretches[later].t1
    return {number for part, number in shown.united if begin < part.t1 < end}


# -- by number -----------------------------------------------------------------------------------------
def _newest(shown: Shown, kept: set[int], most: int, params: Params) -> set[int]:
    """So many of those kept that ended last; fewer if others would be seen as one. All, as long as one that
    would go is not packed."""
    order = sorted(kept, key=lambda number: _end(shown.stretches[number]), reverse=True)
    newest = set(order[:most])
    while len(newest) < len(kept) and (pairs := _joined(shown, newest, params)):
        newest = set(order[: min(order.index(earlier) for earlier, _ in pairs)])
    return newest if shown.unpacked <= newest else kept


def _end(stretch: Segment) -> tuple[int, int, bytes, int, int]:
    t1, t2, c_sum, n, v = stretch
    return t2, t1, v, c_sum, n


# -- what follows --------------------------------------------------------------------------------------
def _ends(shown: Shown, kept: Collection[int], limit: int) -> dict[int, int]:
    """When to look again at the parts of each that is kept: after its end, or after that of the first one
    that it may keep apart from another."""
    ends = {number: shown.stretches[number].t2 for number in kept}
    following = min((end for end in ends.values() if end >= limit), default=limit)
    return {
        number: end if end >= limit or number in shown.unpacked else following for number, end in ends.items()
    }


def _noticed(shown: Shown, kept: Collection[int], gone: Iterable[Segment], params: Params, now: int) -> bool:
    """The order of several values is that of their first appearance."""
    if any(confidence_at(stretch, now, params)[0] for stretch in gone):
        return True
    if not params.multi_value:
        return False
    holding = {
        stretch.v
        for number, stretch in enumerate(shown.stretches)
        if number in kept and confidence_at(stretch, now, params)[0]
    }
    return any(stretch.v in holding for stretch in gone)
