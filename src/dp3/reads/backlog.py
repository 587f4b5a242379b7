"""The progress of the workers: the part of the log that they have not processed yet, and why one does not
work."""

from collections.abc import Iterator
from operator import itemgetter
from typing import Any, NamedTuple

from dp3.clock import Clock
from dp3.log.port import Lane, Log
from dp3.store.ports.batches import Batches
from dp3.store.ports.leases import Leases

HEARTBEAT_LIMIT_S = 15
"""A worker that has not said for so long that it is alive is not. Nor is it known of one that said so in the
future, as it seems after the clock was set back."""

QUEUES = {Lane.MAIN: ("", "-main"), Lane.DERIVED: ("-pri", "-pri")}
"""The ends of `name` and `queue`, as the reference implementation names its queues."""


class PartitionLag(NamedTuple):
    """The distance of one partition to the end (`head`) of a lane: entries, bytes of whole entries, and the
    append time (µs) of the oldest one, None if there is none."""

    partition: int
    lane: Lane
    position: int
    head: int
    bytes: int
    oldest: int | None

    @property
    def entries(self) -> int:
        return max(self.head - self.position, 0)


class LaneLag(NamedTuple):
    """The part of a lane that at least one partition has not passed: bytes, and the append time (µs) of the
    oldest entry in it, None if there is none."""

    lane: Lane
    bytes: int
    oldest: int | None


class Backlog:
    """The part of the log that workers have not processed: measured at every call."""

    def __init__(self, log: Log, batches: Batches, partitions: int, clock: Clock) -> None:
        self._log = log
        self._batches = batches
        self._partitions = range(partitions)
        self._clock = clock

    def unprocessed_bytes(self) -> int:
        """Bytes of all entries, in both lanes, that at least one partition has not passed."""
        return sum(self._log.bytes_after(lane, lowest) for lane, lowest in self._lowest_positions().items())

    def partitions(self) -> Iterator[PartitionLag]:
        """The lag of every partition in every lane."""
        reached = self._positions()
        for lane in Lane:
            head = self._log.head(lane)
            offsets = {partition: reached.get((partition, lane), 0) for partition in self._partitions}
            waiting = self._log.waiting(lane, set(offsets.values()))
            for partition, offset in offsets.items():
                yield PartitionLag(partition, lane, offset, head.offset, *waiting[offset])

    def lanes(self) -> Iterator[LaneLag]:
        """The lag of every lane."""
        found = list(self.partitions())
        for lane in Lane:
            lags = [lag for lag in found if lag.lane is lane]
            oldest = min((lag.oldest for lag in lags if lag.oldest is not None), default=None)
            yield LaneLag(lane, max(lag.bytes for lag in lags), oldest)

    def report(self) -> dict[str, Any]:
        """Bytes that wait, the age of the oldest entry, and how far each partition is, in entries."""
        partitions = list(self.partitions())
        oldest = min((lag.oldest for lag in partitions if lag.oldest is not None), default=None)
        most = {lag.lane: 0 for lag in partitions}
        for lag in partitions:
            most[lag.lane] = max(most[lag.lane], lag.bytes)
        return {
            "unprocessed_bytes": sum(most.values()),
            "oldest_unprocessed_age_s": None if oldest is None else self.age_s(oldest),
            "partitions": [
                {
                    "partition": lag.partition,
                    "lane": lag.lane.name.lower(),
                    "position": lag.position,
                    "head": lag.head,
                    "lag": lag.entries,
                }
                for lag in partitions
            ],
        }

    def age_s(self, moment: int) -> float:
        """The age of a moment (µs), 0 if the clock was set back since."""
        return max(self._clock.now_us() - moment, 0) / 1e6

    def _positions(self) -> dict[tuple[int, int], int]:
        return {(partition, lane): offset for partition, lane, offset in self._batches.positions()}

    def _lowest_positions(self) -> dict[Lane, int]:
        reached = self._positions()
        return {lane: min(reached.get((p, lane), 0) for p in self._partitions) for lane in Lane}


class Workers:
    """The workers; each has the partitions that its index is the rest of."""

    def __init__(self, leases: Leases, backlog: Backlog) -> None:
        self._leases = leases
        self._backlog = backlog

    def problems(self, worker_processes: int) -> Iterator[str]:
        """Of each worker that does not work, why."""
        now = self._leases.now_us()
        states = {state.lease.index: state for state in self._leases.all()}
        for index in range(worker_processes):
            state = states.get(index)
            if state is None:
                yield f"worker {index} is not running"
            elif (silent_s := (now - state.heartbeat) / 1e6) > HEARTBEAT_LIMIT_S:
                yield f"worker {index} has been silent for {silent_s:.0f} s"
            elif silent_s < -HEARTBEAT_LIMIT_S:
                yield f"worker {index} has not been heard of since the clock was set back"
            elif state.status != "working":
                yield f"worker {index}: {state.status}"

    def queues(self, worker_processes: int) -> list[dict[str, Any]]:
        """Both lanes of each worker: entries and bytes that at least one of its partitions has not passed."""
        alive = {state.lease.index for state in self._leases.all()}
        entries: dict[tuple[int, Lane], int] = {}
        size: dict[tuple[int, Lane], int] = {}
        for lag in self._backlog.partitions():
            place = lag.partition % worker_processes, lag.lane
            entries[place] = max(entries.get(place, 0), lag.entries)
            size[place] = max(size.get(place, 0), lag.bytes)
        found = (
            _queue(worker, lane, count, size[worker, lane], worker in alive)
            for (worker, lane), count in entries.items()
        )
        return sorted(found, key=itemgetter("queue"))


def _queue(worker: int, lane: Lane, entries: int, size: int, alive: bool) -> dict[str, Any]:
    """A queue in the form that existing clients know."""
    of_name, of_queue = QUEUES[lane]
    return {
        "name": f"worker-{worker}{of_name}",
        "queue": f"{worker}{of_queue}",
        "total": entries,
        "ready": entries,
        "unacked": 0,
        "consumers": int(alive),
        "memory": 0,
        "message_bytes": size,
        "incoming": 0.0,
        "outgoing": 0.0,
    }
