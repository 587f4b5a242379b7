"""Packed history without a log: rows of one attribute as packing makes them, and passes of retention."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from dp3.clock_watch import ClockWatch
from dp3.engine.context import Context
from dp3.engine.jobs.history.attr_plans import AttrPlan
from dp3.engine.jobs.history.packed_rows import packed_with
from dp3.engine.jobs.history.retention import Retention
from dp3.engine.statistics import Statistics
from dp3.history.retention import KeepRule
from dp3.hooks.watch import HookWatch
from dp3.store.ports.history import FreshValues, ScanChanges, tag_of
from dp3.store.ports.leases import Holder
from dp3.store.ports.retention import FIRST_TAG, LAST_TAG, RetentionPass, StoredRow
from kit.history import Observation, Segment
from kit.place import Place
from kit.points import SECOND

ATTR = 1
NOWHERE = (0, -1, -1)


class PackedHistory(Place):
    """History of an attribute with a rule; entities are numbers. `row`: segments in a row, at most."""

    def __init__(self, directory: Path, rule: KeepRule, row: int = 64) -> None:
        super().__init__(directory, now_us=1)
        self._rule = rule
        self._row = row
        self._lease = self.store.leases.take(0, 1, Holder("host", 1), 1e9)
        watch = HookWatch(1.0, 1.0)
        self._context = Context(
            self.log, self.store, self.clock, self._lease, watch, Statistics(), ClockWatch(self.clock)
        )

    def pack(self, points: Iterable[tuple[int, Observation]]) -> None:
        """Add data-points of entities to what is packed."""
        fresh: FreshValues = {}
        by_value: dict[tuple[int, bytes], list[Observation]] = defaultdict(list)
        for entity, point in points:
            by_value[entity, point.v].append(point)
        for (entity, v), found in by_value.items():
            segments = [(p.t1, p.t2, p.c, 1) for p in found]
            fresh.setdefault((entity, ATTR, tag_of(v, False)), []).append((v, [*segments]))
        united = {ATTR} if self._rule.params.aggregate else set[int]()
        rows = packed_with(fresh, self.store.history.last_parts(list(fresh)), united, self._row).rows
        self.store.history.pack(self._lease, NOWHERE, NOWHERE, {}, rows, ScanChanges())

    def clean(self, now: int) -> RetentionPass:
        """Make a pass at a moment (µs)."""
        self.clock.advance((now - self.clock.now_us()) / SECOND)
        for _ in Retention(self._context, [AttrPlan("a", ATTR, self._rule)]).steps():
            pass
        (record,) = self.store.retention.passes(1)
        return record

    def rows(self, entity: int) -> list[StoredRow]:
        """All rows of an entity."""
        return self.store.retention.scoped([(entity, ATTR, FIRST_TAG, LAST_TAG)], whole=True)[0]

    def parts(self, entity: int) -> list[Segment]:
        """All that is stored of an entity."""
        return [Segment(*segment, row.v) for row in self.rows(entity) for segment in row.segments]
