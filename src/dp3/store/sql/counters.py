"""Counting: what happened, which hooks ran, who sent; in the transaction of the work itself."""

from collections.abc import Iterable, Mapping, Sequence
from operator import add
from typing import Any

import msgspec

from dp3.clock import Clock, duration_us
from dp3.store.ports.counters import (
    MAX_SOURCE_CHARS,
    MAX_SOURCES,
    OTHER_SOURCES,
    EventGroup,
    EventGroups,
    HookSums,
    SourceSums,
    Totals,
)
from dp3.store.sql.session import Database, Session

_totals = msgspec.json.Decoder(Totals).decode


class CounterWriter:
    """Adds to counters, sums of hooks and of sources in the caller's transaction.

    An event belongs to the interval in which it is written, whenever its data-point was sent."""

    def __init__(self, clock: Clock, groups: EventGroups) -> None:
        self._clock = clock
        self._spans = {duration_us(interval) for group in groups.values() for interval in group.intervals}
        self._known: set[str] = set()
        self._loaded = False

    def write(
        self,
        session: Session,
        counters: Mapping[str, int],
        hooks: Sequence[HookSums] = (),
        sources: Sequence[SourceSums] = (),
    ) -> None:
        """Count the work of a batch."""
        self._begin_intervals(session)
        session.bulk("counters.count", list(counters.items()))
        if hooks:
            session.bulk("counters.add_hook_sums", _summed_hooks(hooks))
        if sources:
            now = self._clock.now_us()
            rows = [(*source, now) for source in _summed_sources(self._bounded(session, sources))]
            session.bulk("counters.add_source", rows)

    def _begin_intervals(self, session: Session) -> None:
        if not self._spans:
            return
        now = self._clock.now_us()
        rows: Iterable[Any] = session.rows("counters.intervals")
        known: dict[int, int] = dict(rows)
        for span in self._spans:
            begun = now - now % span
            if begun > known.get(span, -1):
                session.run("counters.begin_interval", (span, begun))

    def _bounded(self, session: Session, sources: Iterable[SourceSums]) -> list[SourceSums]:
        """Sources by the names under which they are kept: their number is bounded."""
        if not self._loaded:
            self._known.update(name for (name,) in session.rows("counters.known_sources"))
            self._loaded = True
        return list(map(self._kept, sources))

    def _kept(self, source: SourceSums) -> SourceSums:
        name = source.name[:MAX_SOURCE_CHARS]
        if name not in self._known:
            if len(self._known) >= MAX_SOURCES:
                return SourceSums(OTHER_SOURCES, source.points, None)
            self._known.add(name)
        return source._replace(name=name)


def _summed_hooks(hooks: Iterable[HookSums]) -> list[HookSums]:
    """Each hook once."""
    found: dict[tuple[str, str, str, str], HookSums] = {}
    for sums in hooks:
        name = sums[:4]
        before = found.get(name)
        found[name] = sums if before is None else HookSums(*name, *map(add, before[4:], sums[4:]))
    return list(found.values())


def _summed_sources(sources: Iterable[SourceSums]) -> list[SourceSums]:
    """Each source once."""
    found: dict[str, SourceSums] = {}
    for source in sources:
        if (before := found.get(source.name)) is not None:
            ends = [end for end in (before.t2, source.t2) if end is not None]
            source = SourceSums(source.name, before.points + source.points, max(ends, default=None))
        found[source.name] = source
    return list(found.values())


class Counters:
    """See `dp3.store.ports.counters.Counters`."""

    def __init__(self, database: Database, clock: Clock, groups: EventGroups) -> None:
        self._database = database
        self._clock = clock
        self._groups = groups

    def all(self) -> dict[str, int]:
        return dict(self._database.rows("counters.counters"))

    def hook_sums(self) -> list[HookSums]:
        return list(map(HookSums._make, self._database.rows("counters.hook_sums")))

    def event_counts(self, group: str, span: int) -> tuple[int, dict[str, int], dict[str, int]]:
        now = self._clock.now_us()
        current = now - now % span
        row = self._database.value("counters.interval", (span,))
        if row is None:
            return current, {}, {}
        begun, *texts = row
        before, totals, latest = map(_totals, texts)
        events = self._groups.get(group, EventGroup(())).between
        since = events(group, totals, latest)
        if begun == current - span:
            return current, {}, since
        if begun < current:
            return current, {}, {}
        return current, since, events(group, before, totals)

    def sources(self) -> dict[str, int]:
        return dict(self._database.rows("counters.sources"))

    def last_seen(self, limit: int) -> dict[str, int]:
        return dict(self._database.rows("counters.last_seen", (limit,)))
