"""A worker's place in the log: what to read next, and of what it read, what is its own and new."""

from collections.abc import Iterator
from dataclasses import dataclass

from dp3.log.port import Entry, Lane, Log
from dp3.store.port import Store


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

    After a change of `worker_processes` the partitions of one worker may have reached different positions:
    reading starts at the lowest, and slices that were applied before are left out.
    """

    def __init__(self, log: Log, store: Store, index: int, processes: int) -> None:
        self._log = log
        self._reached: dict[Lane, dict[int, int]] = {lane: {} for lane in Lane}
        for partition, lane, offset in store.positions():
            if partition % processes == index:
                self._reached[Lane(lane)][partition] = offset
        self._after = {lane: min(reached.values()) for lane, reached in self._reached.items()}

    def position(self, lane: Lane) -> int:
        """Everything up to this offset has been applied."""
        return self._after[lane]

    def read(self, max_bytes: int) -> Reading | None:
        """The next entries, or None when there are none."""
        for lane in (Lane.DERIVED, Lane.MAIN):
            after = self._after[lane]
            if entries := self._log.read(lane, after, max_bytes):
                return Reading(lane, after, entries)
        return None

    def own_slices(self, entry: Entry) -> Iterator[tuple[int, bytes]]:
        """(partition, encoded tasks) of those slices that this worker owns and has not applied."""
        reached = self._reached[entry.lane]
        for partition, tasks in entry.slices.items():
            if reached.get(partition, entry.offset) < entry.offset:
                yield partition, tasks

    def advance(self, lane: Lane, offset: int) -> None:
        """Everything of the lane up to `offset` has been committed."""
        self._after[lane] = offset
        reached = self._reached[lane]
        if min(reached.values()) < offset:
            for partition, old in reached.items():
                reached[partition] = max(old, offset)
