"""Counters of the work, committed with the work itself and so counted once, whatever crashes."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import NamedTuple, Protocol

import msgspec

from dp3.hooks.table import TrackedHook


class HookSums(NamedTuple):
    """Sums of one hook. `module`, `hook`, `family` and `context` (comma-separated) identify it."""

    module: str
    hook: str
    family: str
    context: str
    executions: int
    failures: int
    duration_ns: int
    created_tasks: int
    allowed: int
    denied: int


class SourceSums(NamedTuple):
    """Data-points of one source, and the latest end (µs) of their validity, None if they have none."""

    name: str
    points: int
    t2: int | None


MAX_SOURCES = 10_000
"""So many sources are known by name; more are counted together."""


OTHER_SOURCES = "@other"


MAX_SOURCE_CHARS = 200


EVENTS = ("task_processed", "record_created", "record_removed", "module_error", "task_processing_error")
"""Counters that are events of the group `te`."""


class Totals(msgspec.Struct, frozen=True):
    """Everything that was ever counted: counters and data-points of sources, by name, and sums of hooks."""

    counters: dict[str, int]
    sources: list[tuple[str, int]]
    hooks: list[HookSums]

    def events(self, group: str) -> Counter[str]:
        """Numbers of the events of a group. Hooks of different modules may have one name."""
        if group == "te":
            return Counter({event: self.counters[event] for event in EVENTS if event in self.counters})
        if group == "tasks_by_src":
            return Counter(dict(self.sources))
        counts: Counter[str] = Counter()
        if group == "secondary_hooks":
            for sums in self.hooks:
                counts.update(_hook_events(sums))
        return counts


@dataclass(frozen=True, slots=True)
class EventGroup:
    """Settings of a group of events: those that are counted (all if `any`), and over which intervals."""

    intervals: tuple[timedelta, ...]
    any: bool = True
    events: frozenset[str] = field(default_factory=frozenset)

    def between(self, name: str, earlier: Totals, later: Totals) -> dict[str, int]:
        """Events between two moments in this group, which has that name: how often each happened, sorted."""
        happened = sorted((later.events(name) - earlier.events(name)).items())
        return {event: n for event, n in happened if self.any or event in self.events}


EventGroups = Mapping[str, EventGroup]


NO_EVENTS: EventGroups = MappingProxyType({})


def _hook_events(sums: HookSums) -> dict[str, int]:
    names = TrackedHook(sums.family, sums.hook, tuple(sums.context.split(",")) if sums.context else ())
    return {
        names.executions: sums.executions,
        names.failures: sums.failures,
        names.duration_ns: sums.duration_ns,
        names.created_tasks: sums.created_tasks,
        names.allowed: sums.allowed,
        names.denied: sums.denied,
    }


class Counters(Protocol):
    """Counters of the work, committed with the work itself and so counted once, whatever crashes."""

    def all(self) -> dict[str, int]:
        """Event counters of all workers, summed."""
        ...

    def hook_sums(self) -> list[HookSums]:
        """The sums of all hooks since the state was made."""
        ...

    def event_counts(self, group: str, span: int) -> tuple[int, dict[str, int], dict[str, int]]:
        """(begin, events since, events of the interval before): the start (µs) of the current interval of
        `span` µs, and how often the events of a group happened since and in the interval before."""
        ...

    def sources(self) -> dict[str, int]:
        """The latest end of validity (µs) of each source's data-points, sorted by source."""
        ...

    def last_seen(self, limit: int) -> dict[str, int]:
        """The `limit` sources with the most data-points, and when (µs) some of each were last processed; the
        end of their validity where that is not known, because nothing came since an update."""
        ...
