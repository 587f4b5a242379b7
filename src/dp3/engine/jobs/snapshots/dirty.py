"""Dirty entities: those that may have other values than in the run before.

The search relies on watermarks: when a work is completed, it notes for each of its partitions what it has
seen of the log, the moment of its run, and a number for model and hooks.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import takewhile

import msgspec

from dp3.common.utils import batched
from dp3.engine.context import Context
from dp3.engine.ingest.entities import Identity
from dp3.engine.jobs.snapshots.plans import SnapshotPlans
from dp3.log.port import Entry, Lane
from dp3.model.partition import partition_of

MOST_DIRTY = 250_000
"""Above so many dirty entities all are looked at: that takes less memory."""

LOG_BYTES = 256 << 10
PAGE = 1_000

MOST_RUNS = 100
"""After more runs that were not completed all entities are looked at."""

SEEN_LANE, FINGERPRINT_LANE, CHANGES_LANE = 8, 9, 10
"""Beside the positions in the lanes of the log, a completed work notes the moment (µs) of its run, which is
that of links and due changes that come by themselves, what its model and hooks were, and the number of the
last commit that had changed links when it began."""


class _TaskSubject(msgspec.Struct, array_like=True, gc=False):
    """The beginning of a `WireTask`: which entity it is about."""

    etype: str
    eid: int | str


_decode = msgspec.msgpack.Decoder(list[_TaskSubject]).decode


def _subjects_in(tasks: bytes) -> list[_TaskSubject]:
    """Entities that the tasks of a slice are about; a damaged slice has changed nothing."""
    try:
        return _decode(tasks)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return []


class DirtySearch:
    """Finds own entities, by key, that the run of the moment `time` (µs) has to look at, which will have seen
    the log, and changes of links, up to `offsets` (by lane). Made when the work of a run begins or goes on.

    `is_comparable`: all own partitions were completed before, for no later moment, with this model and these
    hooks, and no run since then had others: it may have written rows, completed or not.

    `find` searches, piece by piece. Afterwards `everything` says that nothing is known, so that all entities
    have to be looked at; otherwise `keys` are those found.
    """

    def __init__(self, context: Context, plans: SnapshotPlans, time: int, offsets: Mapping[int, int]) -> None:
        self._state = context.store
        self._log = context.log
        self._lease = lease = context.lease
        self._plans = plans
        self._time = time
        self._offsets = offsets
        self._own = lease.partitions(context.store.partitions)
        self._done = self._state.runs.watermarks()
        self.is_comparable = self._compare()
        self.everything = not self.is_comparable
        self.keys: set[int] = set()

    def watermarks(self) -> list[tuple[int, int, int]]:
        """(partition, lane, value) to be kept when the work is completed."""
        fingerprint = _fingerprint_number(self._plans.fingerprint)
        values = {**self._offsets, SEEN_LANE: self._time, FINGERPRINT_LANE: fingerprint}
        return [(partition, lane, value) for partition in self._own for lane, value in values.items()]

    def _compare(self) -> bool:
        wanted, lanes = _fingerprint_number(self._plans.fingerprint), (*self._offsets, SEEN_LANE)
        for partition in self._own:
            if self._done.get((partition, FINGERPRINT_LANE)) != wanted:
                return False
            if not all((partition, lane) in self._done for lane in lanes):
                return False
        seen = [self._done[partition, SEEN_LANE] for partition in self._own]
        if max(seen, default=0) > self._time:  # the clock was set back: what was due then is not due now
            return False
        since = min(seen, default=self._time)
        runs = self._state.runs.last(MOST_RUNS)
        newer = list(takewhile(lambda run: run.time != since, runs))
        return len(newer) < MOST_RUNS and all(run.fingerprint == self._plans.fingerprint for run in newer)

    def find(self, elsewhere: Container[int]) -> Iterator[None]:
        """Search; pauses every few milliseconds. Entities `elsewhere` are looked at anyway."""
        if self.everything or not self._own:
            return
        for part in (self._find_news(), self._find_due(elsewhere), self._find_mirrors()):
            for _ in part:
                self.everything |= len(self.keys) > MOST_DIRTY
                if self.everything:
                    self.keys.clear()
                    return
                yield

    def _find_news(self) -> Iterator[None]:
        """Entities that got data."""
        for lane in Lane:
            yield from self._read_lane(lane, self._offsets[lane])

    def _read_lane(self, lane: Lane, until: int) -> Iterator[None]:
        after = min(self._done[partition, lane] for partition in self._own)
        while after < until:
            entries = self._log.read(lane, after, LOG_BYTES)
            if not entries or any(entry.damage for entry in entries):
                self.everything = True  # nobody knows whom it was about
            else:
                self._look_up(self._subjects_of(entries, until))
                after = entries[-1].offset
            yield

    def _subjects_of(self, entries: Iterable[Entry], until: int) -> set[Identity]:
        done, ids, processes = self._done, self._plans.ids, self._lease.worker_processes
        return {
            (ids[subject.etype], str(subject.eid))
            for entry in entries
            if entry.offset <= until
            for partition, tasks in entry.slices.items()
            if partition % processes == self._lease.index and done[partition, entry.lane] < entry.offset
            for subject in _subjects_in(tasks)
            if subject.etype in ids
        }

    def _find_due(self, elsewhere: Container[int]) -> Iterator[None]:
        """Entities whose values change by the passing of time."""
        after = 0
        while due := self._state.snapshots.due(self._lease, self._time, after, PAGE):
            self.keys.update(key for key in due if key not in elsewhere)
            after = due[-1]
            yield

    def _find_mirrors(self) -> Iterator[None]:
        """Entities that others began or ceased to link to."""
        if not self._plans.mirrored:
            return
        since, change = (
            min(self._done[partition, lane] for partition in self._own) for lane in (SEEN_LANE, CHANGES_LANE)
        )
        changed = self._state.links.targets_changed(self._plans.mirrored, change, since, self._time)
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


def _fingerprint_number(fingerprint: str) -> int:
    """A fingerprint (hexadecimal) as a number that fits a column."""
    return int(fingerprint[:15], 16)
