"""Removal from the history of an attribute, by age or by number. Pure.

What goes is always a whole segment as readers see it: united, and joined across gaps. What stays is seen as
before. So a segment stays as long as a part of it is not packed, and one of another value that keeps two
apart stays as long as they do. Parts of one that stays become one part when they are older than what goes by
age: else what never ends would have ever more of them.

A *part* is a row of the state; packed parts may go, fresh ones stay until they are packed. Segments are
referred to by number, parts by their place.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from dp3.history.confidence import confidence_at
from dp3.history.segments import Params, Segment, SegmentRow, segments_of, unite

NO_LIMIT = (-1 << 62) + 1
"""Earlier than any time, as a limit; later than what the state notes for rows to be looked at in any case."""

NO_PARAMS = Params(aggregate=False)
"""Parameters for the data-points of a timeseries: each is looked at by itself."""

Part: TypeAlias = SegmentRow[bytes]


class KeepRule(NamedTuple):
    """The history of an attribute that is kept: what ended in the last `max_age` µs, and that many segments
    that ended last. None is no limit. `linked`: the values are links, which end with them."""

    params: Params
    max_age: int | None = None
    max_items: int | None = None
    linked: bool = False

    def limit(self, now: int) -> int:
        """The time (µs) before which segments must have ended to go."""
        return NO_LIMIT if self.max_age is None else now - self.max_age

    @property
    def whole(self) -> bool:
        """True if all of an attribute has to be known: to count it, or because a link may go that holds,
        and it matters whether others of the same target stay."""
        return self.max_items is not None or (self.linked and self.ends_values)

    @property
    def row_by_row(self) -> bool:
        """True if a packed row can be judged without any other."""
        return not self.whole and not self.params.aggregate

    @property
    def value_by_value(self) -> bool:
        """True if a value can be judged without the others."""
        return not self.whole and not depends_on_others(self.params)

    @property
    def ends_values(self) -> bool:
        """True if something may go that holds."""
        return self.max_items is not None or (self.max_age or 0) < self.params.post

    @property
    def reach(self) -> int:
        """The longest gap (µs) across which segments are joined."""
        return self.params.pre + self.params.post if self.params.aggregate else 0


def depends_on_others(params: Params) -> bool:
    """True if other values decide which segments of a value are joined."""
    return params.aggregate and not params.multi_value and params.pre + params.post > 0


class Judgement:
    """The verdict on the packed parts of a history: of one attribute, and of all values that matter for each
    other. `fresh` is the rest of the history. By age goes what ended before `limit`; `now` is the time at
    which values hold. Both in µs.

    `gone` are the segments that readers do not see any more."""

    def __init__(
        self, packed: Sequence[Part], fresh: Sequence[Part], rule: KeepRule, limit: int, now: int
    ) -> None:
        self._packed = packed
        self._params = rule.params
        self._reach = rule.reach
        self._limit = limit
        self._now = now
        self._seen = _Seen(packed, fresh, rule.params)
        self._kept = self._young()
        if rule.max_items is not None:
            self._kept = self._newest(rule.max_items)
        self.gone = [one for number, one in enumerate(self._seen.segments) if number not in self._kept]

    def staying(self) -> list[list[int]]:
        """The places of packed parts that stay, in the order of the first of each: several become one."""
        joined = self._old_parts()
        inside = {place for places in joined for place in places}
        alone = (
            [place]
            for place, number in enumerate(self._seen.of_packed)
            if number in self._kept and place not in inside
        )
        return sorted([*joined, *alone])

    def checks(self) -> list[int]:
        """For each packed part when its expiry is to be checked again (µs), if it stays: after the end of its
        segment, or after that of the first one that it may keep apart from another."""
        ends = {number: self._seen.segments[number].t2 for number in self._kept}
        following = min((end for end in ends.values() if end >= self._limit), default=self._limit)
        checks = {
            number: end if end >= self._limit or number in self._seen.unpacked else following
            for number, end in ends.items()
        }
        return [checks.get(number, self._limit) for number in self._seen.of_packed]

    def changes_values(self) -> bool:
        """True if another value may hold now."""
        return any(confidence_at(segment, self._now, self._params)[0] > 0 for segment in self.gone)

    def separates_what_comes(self) -> bool:
        """True if something goes that begins after the last start of a segment that stays: what comes would
        have been kept apart from that by it."""
        if not self.gone or not depends_on_others(self._params):
            return False
        stays = [self._seen.segments[number].last_t1 for number in self._kept]
        return max([segment.t1 for segment in self.gone]) > min(stays, default=-NO_LIMIT)

    def known_until(self) -> int:
        """Up to which begin (µs) all parts of the history must be known for what goes by age to be right.
        Something later could be joined to what goes; or to what is united since before and stays, so that
        it is kept apart by what goes."""
        if not self.gone:
            return NO_LIMIT
        ends = [segment.t2 for segment in self.gone]
        if self._seen.united:
            last = max(part.t1 for part, number in self._seen.united if number not in self._kept)
            ends += [part.t2 for part, _ in self._seen.united if part.t1 < last]
        return max(ends) + self._reach

    # -- by age --------------------------------------------------------------------------------------------
    def _young(self) -> set[int]:
        """Segments that have not ended before the limit, are not packed, or keep such apart."""
        segments = self._seen.segments
        kept = {number for number, segment in enumerate(segments) if segment.t2 >= self._limit}
        kept |= self._seen.unpacked
        while len(kept) < len(segments) and (pairs := self._seen.joined_without_the_rest(kept)):
            for earlier, later in pairs:
                kept |= self._seen.between(earlier, later)
        return kept

    # -- by number -----------------------------------------------------------------------------------------
    def _newest(self, most: int) -> set[int]:
        """So many of those kept that ended last; fewer if others would be seen as one. All, as long as one
        that would go is not packed."""
        segments = self._seen.segments
        order = sorted(self._kept, key=lambda number: _by_end(segments[number]), reverse=True)
        newest = set(order[:most])
        while len(newest) < len(self._kept) and (pairs := self._seen.joined_without_the_rest(newest)):
            newest = set(order[: min(order.index(earlier) for earlier, _ in pairs)])
        return newest if self._seen.unpacked <= newest else self._kept

    # -- old parts of what stays ---------------------------------------------------------------------------
    def _old_parts(self) -> list[list[int]]:
        """The packed parts, in the order of time, that become one: those of a segment that stays which ended
        before the limit. No data-point that begins later can be seen to be in between."""
        if not self._params.aggregate:
            return []
        number = self._seen.of_packed
        old = [
            place
            for place, (_, t2, *_) in enumerate(self._packed)
            if t2 < self._limit and number[place] in self._kept
        ]
        if len({number[place] for place in old}) == len(old):
            return []
        group = self._groups(old) if depends_on_others(self._params) else number
        groups: Mapping[int, list[int]] = defaultdict(list)
        for place in sorted(old, key=lambda place: self._packed[place]):
            groups[group[place]].append(place)
        return [places for places in groups.values() if len(places) > 1]

    def _groups(self, old: Iterable[int]) -> Mapping[int, int]:
        """Old part → number of its group, where it matters when other values begin: they keep apart.

        The starts in a segment follow each other, but other segments may have the same ones. So a start goes
        with all that begins at it, or for none; and the one after a segment stays, which may keep it apart
        from a later one of its value."""
        united = [(part, number) for part, number in self._seen.united if number in self._kept]
        found = _Finder([part for part, _ in united])
        holder = {place: found.number(self._packed[place]) for place in old}
        stay = _starts_that_stay(united, set(holder.values()))
        groups, last = list[int](), dict[int, int]()
        for at, (part, number) in enumerate(united):
            last[number] = at if part.t1 in stay else last[number]
            groups.append(last[number])
        return {place: groups[at] for place, at in holder.items()}


class _Seen:
    """The segments that readers see, by number. Of which one each packed part is; which ones have fresh
    parts; and, where that matters, what they are joined of: (united, number of the segment)."""

    def __init__(self, packed: Sequence[Part], fresh: Sequence[Part], params: Params) -> None:
        rows = [*packed, *fresh]
        self._params = params
        self.united: list[tuple[Segment[bytes], int]] = []
        if not params.aggregate:
            self.segments = [Segment(t1, t2, v, c_sum, n, t1) for t1, t2, c_sum, v, n in rows]
            self.of_packed: Sequence[int] = range(len(packed))
            self.unpacked = frozenset(range(len(packed), len(rows)))
            return
        self.segments = segments_of(rows, params)
        found = _Finder(self.segments)
        self.of_packed = [found.number(part) for part in packed]
        self.unpacked = frozenset([found.number(part) for part in fresh])
        if depends_on_others(params):
            self.united = [(part, found.number(part.row)) for part in unite(rows)]

    def joined_without_the_rest(self, kept: Collection[int]) -> list[tuple[int, int]]:
        """Neighbours among some segments that would be seen as one if there was nothing else."""
        if not depends_on_others(self._params):
            return []
        alone = segments_of([part.row for part, number in self.united if number in kept], self._params)
        if len(alone) == len(kept):
            return []
        found, before = _Finder(alone), dict[int, int]()
        pairs = []
        for number in sorted(kept):
            one = found.number(self.segments[number].row)
            if one in before:
                pairs.append((before[one], number))
            before[one] = number
        return pairs

    def between(self, earlier: int, later: int) -> set[int]:
        """Segments that begin in the gap between two of one value, or in the last part before it."""
        begin, end = self.segments[earlier].last_t1, self.segments[later].t1
        return {number for part, number in self.united if begin < part.t1 < end}


class _Finder:
    """Finds the segment that a part belongs to. Those of one value do not overlap."""

    def __init__(self, segments: Iterable[Segment[bytes]]) -> None:
        self._starts: Mapping[bytes, list[int]] = defaultdict(list)
        self._numbers: Mapping[bytes, list[int]] = defaultdict(list)
        for number, segment in enumerate(segments):
            self._starts[segment.v].append(segment.t1)
            self._numbers[segment.v].append(number)

    def number(self, part: Part) -> int:
        t1, _, _, v, _ = part
        return self._numbers[v][bisect_right(self._starts[v], t1) - 1]


def _starts_that_stay(united: Sequence[tuple[Segment[bytes], int]], old: Collection[int]) -> set[int]:
    """Moments at which something begins that can not be joined to what is before it in its segment: that are
    not both among the old ones. And those after the last of a segment."""
    stay, before = set[int](), dict[int, int]()
    for at, (part, number) in enumerate(united):
        if at not in old or before.get(number) not in old:
            stay.add(part.t1)
        before[number] = at
    ends = {united[at][0].t1 for at in before.values()}
    starts = sorted({part.t1 for part, _ in united})
    return stay | {following for start, following in pairwise(starts) if start in ends}


def _by_end(segment: Segment[bytes]) -> tuple[int, int, bytes, int, int]:
    return segment.t2, segment.t1, segment.v, segment.c_sum, segment.n
