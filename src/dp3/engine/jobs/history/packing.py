"""Packs the history of a worker's entities, in slices beside its other work."""

import time
from collections.abc import Collection, Iterator, Mapping

from dp3.engine.context import Context
from dp3.engine.jobs.history.packed_rows import MOST_SEGMENTS, packed_with
from dp3.engine.jobs.history.scans import BEHIND_US, Moments, ScanKeeper, rows_by_attr
from dp3.engine.jobs.job import SlicePace
from dp3.history import Params, history_params
from dp3.log.port import Lane, Log
from dp3.model.attrspec import AttrSpecObservations
from dp3.model.spec import ModelSpec
from dp3.store.ports.batches import reached_by_all
from dp3.store.ports.entities import ENTITY_SHIFT
from dp3.store.ports.history import (
    FreshPlace,
    FreshValues,
    PackedHistorySince,
    PackUntil,
    RecentRow,
    ScanChanges,
    history_key,
)
from dp3.store.ports.retention import AT_ONCE
from dp3.store.ports.state import State

SLICE_S = 0.03
FIRST_SLICE, LARGEST_SLICE = 1_000, 8_000
"""Fresh rows that are packed in one transaction."""

SLICE_BYTES = 1_000_000
"""Of large values in a slice, but for a single one that is larger."""

MOST_SCANS = 200
"""That are made in one transaction."""

TRIM_ROWS = 10_000
"""Rows of the list of what has come in that are forgotten at a time: about 5 ms."""


def packable_until(state: State, log: Log) -> dict[int, int]:
    """Lane → the largest key of fresh rows that may be packed: they are older than all entries that a worker
    has not applied yet, so none of their data-points comes again, and older than all deletions that links may
    still have to be removed for: those go by what is older, which packed rows do not tell of themselves."""
    reached = {Lane(number): offset for number, offset in reached_by_all(state.batches).items()}
    unread = [
        order for lane, offset in reached.items() if (order := log.order_after(lane, offset)) is not None
    ]
    limits = list(log.bounds([min(unread) - 1]).values()) if unread else []
    if (oldest := state.lifetimes.oldest_bounds()) is not None:
        limits.append(oldest)
    until = {lane: min([offset, *(limit[lane] for limit in limits)]) for lane, offset in reached.items()}
    return {lane: history_key(lane, offset + 1, 0) - 1 for lane, offset in until.items()}


def observed_attrs(model: ModelSpec, state: State) -> dict[int, Params]:
    """The observations attributes by their numbers, with how their history is read."""
    return {
        state.names.attr_id(etype, name): history_params(spec)
        for etype, specs in model.entity_attributes.items()
        for name, spec in specs.items()
        if isinstance(spec, AttrSpecObservations)
    }


class Compactor:
    """Makes passes over what came in since the one before. Rows of `counted` attributes that change are to be
    looked at by retention; `observed` are those of observations."""

    def __init__(self, context: Context, observed: Mapping[int, Params], counted: Collection[int]) -> None:
        self._log = context.log
        self._state = context.store
        self._lease = context.lease
        self._statistics = context.statistics
        self._clock = context.clock
        self._united = frozenset(attr for attr, params in observed.items() if params.aggregate)
        self._observed = observed
        self._scans = ScanKeeper(observed)
        self._counted = counted
        self._pace = SlicePace(FIRST_SLICE, LARGEST_SLICE, SLICE_S)
        self._most_segments = MOST_SEGMENTS

    def steps(self) -> Iterator[None]:
        """Pack everything that may be packed now, then make the scans that are to be made; pauses after every
        slice. Raises `LeaseLost`, `StoreFull`."""
        yield from self._pack_all()
        for partition in self._lease.partitions(self._state.partitions):
            yield from self._make_scans(partition)

    def _pack_all(self) -> Iterator[None]:
        """A pass that is not finished is continued by the next one."""
        packed = self._state.history.packed_until(self._lease)
        until = packable_until(self._state, self._log)
        if all(key <= packed[lane] for lane, key in until.items()):
            return
        self._state.history.begin_packing(self._lease, until)
        for partition in self._lease.partitions(self._state.partitions):
            yield from self._pack((partition << ENTITY_SHIFT, -1, -1), until)
        self._state.history.end_packing(self._lease, until)
        for lane in until:
            while self._state.history.trim_incoming(self._lease, lane, TRIM_ROWS):
                yield

    def _pack(self, after: FreshPlace, until: PackUntil) -> Iterator[None]:
        """Pack the rest of a partition."""
        while True:
            started = time.perf_counter()
            page = self._state.history.fresh_page(after, until, self._pace.size, SLICE_BYTES)
            if page.last is None:
                return
            self._statistics.packing_read(page.rows)
            if page.values:
                self._write(page.values, after, page.last, until)
            self._pace.learn(page.rows, time.perf_counter() - started)
            self._statistics.packed(page.packable)
            after = page.last
            yield

    def _write(self, fresh: FreshValues, after: FreshPlace, last: FreshPlace, until: PackUntil) -> None:
        parts = self._state.history.last_parts(list(fresh))
        rows, longer = packed_with(fresh, parts, self._united, self._most_segments)
        if self._counted:
            rows = [row._replace(oldest=AT_ONCE) if row.attr in self._counted else row for row in rows]
        observed = rows_by_attr(fresh)
        known = self._state.history.recent(list(observed))
        scans = self._scans.with_rows(observed, known, self._moments())
        scans.longer = [(*attr, begin) for attr, begin in longer.items()]
        self._state.history.pack(self._lease, after, last, until, rows, scans)

    def _make_scans(self, partition: int) -> Iterator[None]:
        """Make the scans of a partition that are to be made, from what is packed."""
        history = self._state.history
        moments = self._moments()
        while to_make := history.scans_to_make(self._lease, partition, moments.now, MOST_SCANS):
            end, changes = time.perf_counter() + SLICE_S, ScanChanges()
            for row in to_make:
                self._make_scan(row, changes, moments)
                if time.perf_counter() >= end:
                    break
            history.put_scans(self._lease, changes)
            yield

    def _moments(self) -> Moments:
        """An open run asks for the moment at which it began."""
        now, run = self._clock.now_us(), self._state.runs.open()
        asked = now if run is None else min(now, run.time)
        return Moments(now, min(now - BEHIND_US, asked), asked)

    def _make_scan(self, row: RecentRow, changes: ScanChanges, moments: Moments) -> None:
        since = PackedHistorySince(None, [])
        if (params := self._observed.get(row.attr)) is not None:
            since = self._state.history.packed_since(row.entity, row.attr, params)
        made = self._scans.made(row, *since, moments)
        changes.recent += made.recent
        changes.former += made.former
        changes.outdated += made.outdated
