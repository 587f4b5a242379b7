"""How much of the log the workers have not processed yet."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from dp3.log.port import Lane, Log
from dp3.store.ports.state import State


class Waiting(NamedTuple):
    """What one partition has not passed of a lane: bytes of whole entries, append time (µs) of the oldest."""

    partition: int
    lane: Lane
    bytes: int
    oldest: int | None


class PartitionLag(NamedTuple):
    """How far one partition is behind the end of a lane, in entries."""

    partition: int
    lane: Lane
    position: int
    head: int

    @property
    def lag(self) -> int:
        return max(self.head - self.position, 0)


@dataclass(frozen=True, slots=True)
class Backlog:
    """What the workers have not processed: measured on the fly, blocking, from any thread."""

    log: Log
    store: State

    def unprocessed_bytes(self) -> int:
        """Bytes of all entries, in both lanes, that at least one partition has not passed."""
        lowest = self._lowest_positions()
        return sum(
            max(self.log.head(lane).bytes - self.log.bytes_until(lane, lowest[lane]), 0) for lane in Lane
        )

    def oldest_append_time(self) -> int | None:
        """Append time (µs) of the oldest entry that a partition has not passed; None when there is none."""
        lowest = self._lowest_positions()
        times = [self.log.append_time_after(lane, lowest[lane]) for lane in Lane]
        return min((time for time in times if time is not None), default=None)

    def partitions(self) -> Iterator[PartitionLag]:
        """The lag of every partition in every lane."""
        reached = self._positions()
        for lane in Lane:
            head = self.log.head(lane).offset
            for partition in range(self.store.partitions):
                yield PartitionLag(partition, lane, reached.get((partition, lane), 0), head)

    def waiting(self) -> Iterator[Waiting]:
        """What every partition has not passed in every lane. Most have the same position, and the log is
        asked once for each."""
        reached = self._positions()
        for lane in Lane:
            found: dict[int, tuple[int, int | None]] = {}
            for partition in range(self.store.partitions):
                offset = reached.get((partition, lane), 0)
                if offset not in found:
                    found[offset] = self._behind(lane, offset)
                yield Waiting(partition, lane, *found[offset])

    def _behind(self, lane: Lane, offset: int) -> tuple[int, int | None]:
        waiting = self.log.head(lane).bytes - self.log.bytes_until(lane, offset)
        return max(waiting, 0), self.log.append_time_after(lane, offset)

    def _positions(self) -> dict[tuple[int, int], int]:
        return {(partition, lane): offset for partition, lane, offset in self.store.batches.positions()}

    def _lowest_positions(self) -> dict[Lane, int]:
        reached = self._positions()
        partitions = range(self.store.partitions)
        return {lane: min(reached.get((p, lane), 0) for p in partitions) for lane in Lane}
