"""What is counted of the work, and how it is kept.

Same rules as in `dp3.store.port`. What hooks did, which sources sent and which events happened is committed
with the work itself, so it is counted once, whatever crashes. What a worker reports of itself goes with its
heartbeat and begins at zero when it starts.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import NamedTuple, Protocol

import msgspec

from dp3.hooks.telemetry import TrackedHook
from dp3.store.port import HookSums, Lease

MAX_SOURCES = 10_000
"""So many sources are known by name; more are counted together."""

OTHER_SOURCES = "@other"
MAX_SOURCE_CHARS = 200

EVENTS = ("task_processed", "record_created", "record_removed", "module_error", "task_processing_error")
"""Counters that are events of the group `te`."""


class EventCounts(NamedTuple):
    """Events since `begun` (µs), the start of the current interval, and those of the interval before."""

    begun: int
    current: dict[str, int]
    last: dict[str, int]


class WorkerReport(NamedTuple):
    """What a worker says of itself: numbers since it started, by name."""

    worker: int
    time: int
    numbers: dict[str, float]


class AttributeSize(NamedTuple):
    """Stored bytes of one attribute over all entities that have it: how many, smallest, largest, all."""

    entities: int
    min: int
    max: int
    total: int

    def plus(self, other: "AttributeSize") -> "AttributeSize":
        """That of both together."""
        smallest, largest = min(self.min, other.min), max(self.max, other.max)
        return AttributeSize(self.entities + other.entities, smallest, largest, self.total + other.total)


class SizeReport(NamedTuple):
    """Sizes of the attributes of a type, measured at `calculated` (µs) in `duration` µs."""

    calculated: int
    duration: int
    attributes: dict[str, AttributeSize]


class Totals(msgspec.Struct, frozen=True):
    """Everything that was ever counted: counters and data-points of sources, by name, and what hooks did."""

    counters: dict[str, int]
    sources: list[tuple[str, int]]
    hooks: list[HookSums]

    def events(self, group: str) -> Counter[str]:
        """How often the events of a group happened. Hooks of different modules may have one name."""
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
    """Which events of a group are counted, all if `any`, and over which intervals."""

    intervals: tuple[timedelta, ...]
    any: bool = True
    events: frozenset[str] = field(default_factory=frozenset)

    def between(self, name: str, earlier: Totals, later: Totals) -> dict[str, int]:
        """What happened between two moments in this group, which has that name; sorted by event."""
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


class TelemetryStore(Protocol):
    """Implemented by the same object as `Store`."""

    def hook_sums(self) -> list[HookSums]:
        """What all hooks did since the state was made."""
        ...

    def event_counts(self, group: str, span: int) -> EventCounts:
        """Events of a group in the current interval of `span` µs and the one before."""
        ...

    def sources(self) -> dict[str, int]:
        """The latest end of validity (µs) of each source's data-points, sorted by source."""
        ...

    def reports(self) -> list[WorkerReport]:
        """The latest report of each worker that has a lease."""
        ...

    def page_after(self, after: int, limit: int) -> tuple[int, int] | None:
        """The first and the last key of the next up to `limit` entities above `after`."""
        ...

    def attributes_between(self, first: int, last: int) -> dict[tuple[str, str], int]:
        """(type, attribute) → how many entities with a key from `first` to `last` have data of it."""
        ...

    def sizes_between(self, first: int, last: int) -> dict[tuple[str, str], AttributeSize]:
        """(type, attribute) → stored bytes of entities with a key from `first` to `last`."""
        ...

    def put_sizes(self, lease: Lease, reports: Mapping[str, SizeReport]) -> None:
        """Replace the sizes of all types. Raises `LeaseLost`, `StoreFull`."""
        ...

    def size_reports(self) -> dict[str, SizeReport]:
        """Sizes as last measured, by type."""
        ...

    def disk_bytes(self) -> int:
        """Bytes that the state takes on the disk."""
        ...
