"""Which entities may have other values than in the run before: a search in slices."""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from dp3.common.utils import batched
from dp3.engine.ingest.entities import Identity
from dp3.engine.jobs.snapshots.plans import SnapshotPlans
from dp3.log.port import Entry, Lane, Log
from dp3.model.partition import partition_of
from dp3.store.ports.leases import Lease
from dp3.store.ports.state import State

MOST_DIRTY = 250_000
"""Above so many dirty entities all are looked at: that takes less memory."""

LOG_BYTES = 256 << 10
PAGE = 1_000

MOST_RUNS = 100
"""After more runs that were not completed all entities are looked at."""

SEEN_LANE, FINGERPRINT_LANE = 8, 9
"""Beside the positions in the lanes of the log, a completed work notes the moment (µs) of its run, which is
that of links and due changes, and what its model and hooks were."""


class _Subject(msgspec.Struct, array_like=True, gc=False):
    """The beginning of a `WireTask`: which entity it is about."""

    etype: str
    eid: int | str


_decode = msgspec.msgpack.Decoder(list[_Subject]).decode


def _subjects_in(tasks: bytes) -> list[_Subject]:
    """What the tasks of a slice are about; a damaged slice has changed nothing."""
    try:
        return _decode(tasks)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return []


@dataclass(frozen=True, slots=True)
class Cut:
    """What a work has seen when it is completed: log offsets by lane, the moment `seen` (µs) of its run, and
    the model and hooks of `fingerprint`."""

    offsets: Mapping[int, int]
    seen: int
    fingerprint: str

    def rows(self, partitions: Iterable[int]) -> list[tuple[int, int, int]]:
        """(partition, lane, value) as they are stored."""
        values = {
            **self.offsets,
            SEEN_LANE: self.seen,
            FINGERPRINT_LANE: fingerprint_number(self.fingerprint),
        }
        return [(partition, lane, value) for partition in partitions for lane, value in values.items()]


def is_comparable(state: State, cut: Cut, partitions: Iterable[int]) -> bool:
    """Whether all the partitions were completed before, with this model and these hooks, and no run since
    then had others: it may have written rows, completed or not."""
    done, wanted = state.runs.watermarks(), fingerprint_number(cut.fingerprint)
    lanes = (*cut.offsets, SEEN_LANE)
    for partition in partitions:
        if done.get((partition, FINGERPRINT_LANE)) != wanted:
            return False
        if not all((partition, lane) in done for lane in lanes):
            return False
    since = min((done[partition, SEEN_LANE] for partition in partitions), default=cut.seen)
    runs = state.runs.last(MOST_RUNS)
    newer = [run for run in runs if run.time > since]
    return len(newer) < MOST_RUNS and all(run.fingerprint == cut.fingerprint for run in newer)


def fingerprint_number(fingerprint: str) -> int:
    """A fingerprint (hexadecimal) as a number that fits a column."""
    return int(fingerprint[:15], 16)


class DirtySearch:
    """Finds own entities, by key, that a run has to look at.

    `cut` is what the run will have seen, at `now_us`; entities `elsewhere` are looked at anyway.

    `find` does it, piece by piece. Afterwards `everything` says that nothing is known, so that all entities
    have to be looked at; otherwise `keys` are those found.
    """

    def __init__(
        self,
        state: State,
        log: Log,
        lease: Lease,
        plans: SnapshotPlans,
        cut: Cut,
        now_us: int,
        elsewhere: Container[int],
    ) -> None:
        self._state = state
        self._log = log
        self._lease = lease
        self._plans = plans
        self._now = now_us
        self._elsewhere = elsewhere
        self._cut = cut
        self._own = lease.partitions(state.partitions)
        self._ids = plans.ids()
        self._done: dict[tuple[int, int], int] = {}
        self.keys: set[int] = set()
        self.everything = False

    def find(self) -> Iterator[None]:
        """Search; pauses every few milliseconds."""
        if not self._own:
            return
        self._done = self._state.runs.watermarks()
        self.everything = not is_comparable(self._state, self._cut, self._own)
        for part in (self._find_news, self._find_due, self._find_mirrors):
            for _ in part():
                if len(self.keys) > MOST_DIRTY:
                    self.everything = True
                if self.everything:
                    self.keys.clear()
                    return
                yield

    def _find_news(self) -> Iterator[None]:
        """Entities that got data."""
        yield
        for lane, until in self._cut.offsets.items():
            yield from self._read_lane(Lane(lane), until)

    def _read_lane(self, lane: Lane, until: int) -> Iterator[None]:
        after = min(self._done[partition, lane] for partition in self._own)
        while after < until:
            entries = self._log.read(lane, after, LOG_BYTES)
            if not entries or self._is_gap(lane, after, entries[0]):
                self.everything = True
            else:
                self._look_up(self._subjects_of(entries, until))
                after = entries[-1].offset
            yield

    def _is_gap(self, lane: Lane, after: int, first: Entry) -> bool:
        """Whether entries between `after` and `first` were removed from the log."""
        if first.offset == after + 1:
            return False
        return self._log.bytes_until(lane, first.offset - 1) != self._log.bytes_until(lane, after)

    def _subjects_of(self, entries: Iterable[Entry], until: int) -> set[Identity]:
        done, ids, processes = self._done, self._ids, self._lease.worker_processes
        return {
            (ids[subject.etype], str(subject.eid))
            for entry in entries
            if entry.offset <= until
            for partition, tasks in entry.slices.items()
            if partition % processes == self._lease.index and done[partition, entry.lane] < entry.offset
            for subject in _subjects_in(tasks)
            if subject.etype in ids
        }

    def _find_due(self) -> Iterator[None]:
        """Entities whose values change by the passing of time."""
        after = 0
        while due := self._state.snapshots.due(self._lease, self._cut.seen, after, PAGE):
            self.keys.update(key for key in due if key not in self._elsewhere)
            after = due[-1]
            yield

    def _find_mirrors(self) -> Iterator[None]:
        """Entities that others began or ceased to link to."""
        if not self._plans.mirrored:
            return
        since = min(self._done[partition, SEEN_LANE] for partition in self._own)
        until = max(self._now, self._cut.seen)
        changed = self._state.links.targets_changed(self._plans.mirrored, since, until)
        for targets in batched(changed, PAGE):
            self._look_up(target for target in targets if self._is_own(*target))
            yield

    def _is_own(self, etype: int, eid: str) -> bool:
        plan = self._plans.types.get(etype)
        if plan is None:
            return False
        partition = partition_of(plan.etype, eid, self._state.partitions)
        return self._lease.owns(partition)

    def _look_up(self, identities: Iterable[Identity]) -> None:
        for page in batched(identities, PAGE):
            self.keys.update(key for key, _ in self._state.entities.find(page).values())
