"""A worker's place in the log: what to read next, and of what it read, what is its own and new."""

from collections.abc import Iterator
from dataclasses import dataclass

from dp3.log.port import Entry, Lane, Log
from dp3.store.ports.state import State


class LogBehind(Exception):
    """The log ends before what has been applied: part of it is lost, new entries would be taken for old."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Consecutive entries of one lane; `after` is the position before them."""

    lane: Lane
    after: int
    entries: list[Entry]

    @property
    def last(self) -> int:
        return self.entries[-1].offset


class Cursor:
    """Reads the partitions p ≡ index (mod processes), the derived lane first.

    Derived entries that are there at the start may have been read before the state fell back to an older
    moment. Up to them both lanes are read in the order of append times: a derived entry that went first could
    create an entity in place of its own cause, and creation hooks would take effect again.

    After a change of `worker_processes` the partitions of one worker may have reached different positions:
    reading starts at the lowest, and slices that were applied before are left out.
    """

    def __init__(self, log: Log, store: State, index: int, processes: int) -> None:
        self._log = log
        self._reached: dict[Lane, dict[int, int]] = {lane: {} for lane in Lane}
        for partition, lane, offset in store.batches.positions():
            if partition % processes == index:
                self._reached[Lane(lane)][partition] = offset
        self._after = {lane: min(reached.values()) for lane, reached in self._reached.items()}
        for lane, reached in self._reached.items():
            _require_log(lane, log.head(lane).offset, max(reached.values()))
        self._derived_before = log.head(Lane.DERIVED).offset

    def offsets(self) -> dict[int, int]:
        """The positions in all lanes."""
        return {int(lane): offset for lane, offset in self._after.items()}

    def read(self, max_bytes: int) -> Reading | None:
        """The next entries, or None when there are none."""
        if self._after[Lane.DERIVED] < self._derived_before:
            return self._read_by_time(max_bytes)
        return self._read_lane(Lane.DERIVED, max_bytes) or self._read_lane(Lane.MAIN, max_bytes)

    def _read_by_time(self, max_bytes: int) -> Reading | None:
        times = {lane: self._log.append_time_after(lane, self._after[lane]) for lane in Lane}
        waiting = sorted((time, lane) for lane, time in times.items() if time is not None)
        if not waiting:
            return None
        until = waiting[1][0] if len(waiting) > 1 else None
        return self._read_lane(waiting[0][1], max_bytes, until)

    def _read_lane(self, lane: Lane, max_bytes: int, until: int | None = None) -> Reading | None:
        """The next entries of a lane, as far as they were appended before the time `until`."""
        after = self._after[lane]
        entries = self._log.read(lane, after, max_bytes)
        if until is not None:
            entries = [entry for entry in entries if entry.append_time < until]
        return Reading(lane, after, entries) if entries else None

    def is_new(self, entry: Entry, partition: int) -> bool:
        """Whether this worker owns the partition and has not applied this entry to it."""
        return self._reached[entry.lane].get(partition, entry.offset) < entry.offset

    def own_slices(self, entry: Entry) -> Iterator[tuple[int, bytes]]:
        """(partition, encoded tasks) of those slices that this worker owns and has not applied."""
        for partition, tasks in entry.slices.items():
            if self.is_new(entry, partition):
                yield partition, tasks

    def advance(self, lane: Lane, offset: int) -> None:
        """Everything of the lane up to `offset` has been committed."""
        self._after[lane] = offset
        reached = self._reached[lane]
        if min(reached.values()) < offset:
            for partition, old in reached.items():
                reached[partition] = max(old, offset)


def _require_log(lane: Lane, end: int, reached: int) -> None:
    if end < reached:
        raise LogBehind(
            f"the log's {lane.name.lower()} lane ends at entry {end}, but the state has applied entry "
            f"{reached}: log files are missing or damaged; restore log and state from the same moment"
        )
