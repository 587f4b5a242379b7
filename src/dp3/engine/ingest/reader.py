"""Reads the log for one worker: the entries that come next, and of their tasks its own ones that count."""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple

import msgspec

from dp3.log.port import Entry, Lane, Log
from dp3.model.wire import Undecodable, WirePoint, WireTask, decode_slice, encode_value
from dp3.store.ports.batches import Batches
from dp3.store.ports.history import history_key
from dp3.store.ports.models import Models, Outdated

DECODING_S = 0.25
"""Entries are decoded for so long at a time. Usual ones of 4 MiB take a tenth of it; lists of lists take many
times the memory, too."""

OUTDATED = "it was sent before the meaning of {} was changed by `dp3 schema-update`"

_Ends = Mapping[bytes, Mapping[int, int]]
"""Encoded value (empty: all) → lane → last offset."""


class Item(NamedTuple):
    """One task and its place in the log."""

    entry: Entry
    partition: int
    task: WireTask


class Slice(NamedTuple):
    """The tasks of one partition of an entry; `key` is that of data-point 0 of the entry."""

    entry: Entry
    partition: int
    tasks: Sequence[WireTask]
    key: int

    def item(self, task: WireTask) -> Item:
        """One of the tasks with its place."""
        return Item(self.entry, self.partition, task)


class Damaged(NamedTuple):
    """Bytes of the log that can not be decoded: entry, partition and the reason."""

    entry: Entry
    partition: int
    reason: str


@dataclass(frozen=True, slots=True)
class Reading:
    """Consecutive entries of one lane; `after` is the position before them."""

    lane: Lane
    after: int
    entries: Sequence[Entry]

    @property
    def last(self) -> int:
        return self.entries[-1].offset


@dataclass(slots=True)
class Decoded:
    """Tasks of `entries` in log order; tasks that do not count, each with the reason; damaged bytes."""

    entries: Sequence[Entry]
    slices: list[Slice] = field(default_factory=list)
    outdated: list[tuple[Item, str]] = field(default_factory=list)
    damaged: list[Damaged] = field(default_factory=list)

    def items(self) -> list[Item]:
        """Each task with its place."""
        return [slice_.item(task) for slice_ in self.slices for task in slice_.tasks]

    def cut(self, entry: Entry) -> None:
        """Leave an entry, and all that follow, for the next time."""
        until = entry.offset
        self.entries = [entry for entry in self.entries if entry.offset < until]
        self.slices = [each for each in self.slices if each.entry.offset < until]
        self.outdated = [each for each in self.outdated if each[0].entry.offset < until]
        self.damaged = [each for each in self.damaged if each.entry.offset < until]


class OutdatedPoints:
    """Recognises data-points from before a change of the model: they do not count where it gave another
    meaning."""

    def __init__(self, rows: Iterable[Outdated]) -> None:
        places: dict[str, dict[str, dict[bytes, dict[int, int]]]] = {}
        self._last: dict[int, int] = defaultdict(int)
        for etype, attr, v, lane, offset in rows:
            places.setdefault(etype, {}).setdefault(attr, {}).setdefault(v, {})[lane] = offset
            self._last[lane] = max(self._last[lane], offset)
        self._places = places

    def separate(self, found: Decoded) -> None:
        """Take what is outdated out of the tasks. A repeated reading does it alike, so it numbers data-points
        alike."""
        slices = found.slices
        if slices and slices[0].entry.offset <= self._last[slices[0].entry.lane]:
            found.slices = [each._replace(tasks=list(self._left_of(each, found))) for each in slices]

    def _left_of(self, slice_: Slice, found: Decoded) -> Iterator[WireTask]:
        for task in slice_.tasks:
            if (left := self._separate(slice_.item(task), found)) is not None:
                yield left

    def _separate(self, item: Item, found: Decoded) -> WireTask | None:
        """The task without what is outdated; None if nothing is left of it."""
        task = item.task
        places = self._places.get(task.etype, {})
        if _is_before(item, b"", places.get("", {})):
            if task.system_task is None:
                found.outdated.append((item, OUTDATED.format(task.etype)))
            return None
        old: list[WirePoint] = []
        left: list[WirePoint] = []
        for point in task.points:
            (old if _is_old(item, point, places.get(point.attr, {})) else left).append(point)
        if not old:
            return task
        names = ", ".join(dict.fromkeys(f"{task.etype}.{point.attr}" for point in old))
        alone = msgspec.structs.replace(task, points=old, ttl_tokens=None, delete=False)
        found.outdated.append((item._replace(task=alone), OUTDATED.format(names)))
        if left or task.ttl_tokens or task.delete:
            return msgspec.structs.replace(task, points=left)
        return None


class Reader:
    """Reads the partitions p ≡ index (mod processes), the derived lane first.

    Derived entries that are there at the start may have been read before the state fell back to an older
    moment. Up to them both lanes are read in the order of their entries: a derived one that went first could
    create an entity in place of its own cause, and creation hooks would take effect again.

    After a change of `worker_processes` the partitions of one worker may have reached different positions:
    reading starts at the lowest, and slices that were applied before are left out.
    """

    def __init__(self, log: Log, batches: Batches, models: Models, index: int, processes: int) -> None:
        self._log = log
        self._batches = batches
        self._index, self._processes = index, processes
        self._outdated = OutdatedPoints(models.outdated())
        self.begin()

    def begin(self) -> None:
        """Begin at the stored positions. Called at the start, and when others have moved them."""
        self._reached: dict[Lane, dict[int, int]] = {lane: {} for lane in Lane}
        for partition, lane, offset in self._batches.positions():
            if partition % self._processes == self._index:
                self._reached[Lane(lane)][partition] = offset
        self._after = {lane: min(reached.values()) for lane, reached in self._reached.items()}
        self._derived_before = self._log.head(Lane.DERIVED).offset

    def reached(self, lane: Lane) -> dict[int, int]:
        """The offsets up to which the own partitions have been committed."""
        return self._reached[lane].copy()

    def offsets(self) -> dict[int, int]:
        """The positions in all lanes."""
        return {int(lane): offset for lane, offset in self._after.items()}

    # -- entries ---------------------------------------------------------------------------------------
    def read(self, max_bytes: int) -> Reading | None:
        """The next entries, or None when there are none."""
        if self._after[Lane.DERIVED] < self._derived_before and (found := self._read_by_order(max_bytes)):
            return found
        return self._read_lane(Lane.DERIVED, max_bytes) or self._read_lane(Lane.MAIN, max_bytes)

    def _read_by_order(self, max_bytes: int) -> Reading | None:
        """None if no entry waits; others may be missing at the end of a lane."""
        orders = {lane: self._log.order_after(lane, self._after[lane]) for lane in Lane}
        waiting = sorted((order, lane) for lane, order in orders.items() if order is not None)
        if not waiting:
            return None
        until = waiting[1][0] if len(waiting) > 1 else None
        return self._read_lane(waiting[0][1], max_bytes, until)

    def _read_lane(self, lane: Lane, max_bytes: int, until: int | None = None) -> Reading | None:
        """The next entries of a lane, up to the first that is not of an order below `until`. What stands for
        missing ones (order 0) goes with those before it."""
        after = self._after[lane]
        entries = self._log.read(lane, after, max_bytes)
        if until is not None:
            entries = list(takewhile(lambda entry: entry.order < until, entries))
        return Reading(lane, after, entries) if entries else None

    def advance(self, lane: Lane, offset: int) -> None:
        """Everything of the lane up to `offset` has been committed."""
        self._after[lane] = offset
        reached = self._reached[lane]
        if min(reached.values()) < offset:
            for partition, old in reached.items():
                reached[partition] = max(old, offset)

    # -- tasks -----------------------------------------------------------------------------------------
    def decode(self, entries: Sequence[Entry]) -> Decoded:
        """The tasks of those slices that the worker owns and has not applied, as far as all are system tasks
        or none is; what follows after `DECODING_S` is left for the next time. The owner of partition 0
        reports damaged bodies."""
        found = Decoded(entries)
        end = time.perf_counter() + DECODING_S
        for number, entry in enumerate(entries):
            if number and time.perf_counter() > end:
                found.entries = entries[:number]
                break
            reached = self._reached[entry.lane]
            if entry.damage and reached.get(0, entry.offset) < entry.offset:
                found.damaged.append(Damaged(entry, 0, entry.damage))
            key = history_key(entry.lane, entry.offset, 0)
            for partition in entry.slices:
                if reached.get(partition, entry.offset) < entry.offset:
                    self._decode_slice(entry, partition, key, found)
        if (other := _other_kind(found.slices)) is not None:
            found.cut(other)
        self._outdated.separate(found)
        return found

    @staticmethod
    def _decode_slice(entry: Entry, partition: int, key: int, found: Decoded) -> None:
        try:
            found.slices.append(Slice(entry, partition, decode_slice(entry.slices[partition]), key))
        except Undecodable as error:
            found.damaged.append(Damaged(entry, partition, str(error)))


def _other_kind(slices: Iterable[Slice]) -> Entry | None:
    """The first entry that has system tasks while those before it have none, or the reverse: the effect of a
    system task depends on what was committed before. All tasks of an entry are of one kind."""
    first: bool | None = None
    for slice_ in slices:
        if slice_.tasks:
            is_system = slice_.tasks[0].system_task is not None
            if first is None:
                first = is_system
            elif is_system is not first:
                return slice_.entry
    return None


def _is_old(item: Item, point: WirePoint, ends: _Ends) -> bool:
    return bool(ends) and (_is_before(item, b"", ends) or _is_before(item, encode_value(point.v), ends))


def _is_before(item: Item, v: bytes, ends: _Ends) -> bool:
    return item.entry.offset <= ends.get(v, {}).get(item.entry.lane, 0)
