"""Ends of lifetimes: the search for entities whose life is over, and telling those who have links to a
deleted entity, through the log, that it is gone."""

from collections.abc import Callable, Mapping, Sequence

from dp3.config.sections import GarbageCollectorSettings
from dp3.engine.context import Context
from dp3.engine.jobs.job import NEVER, Schedule, Work
from dp3.engine.plans import Lifetime, TypePlan, judge
from dp3.log.port import Lane
from dp3.model.wire import Expire, RemoveLinks, TombstoneDone, WireTask, encode_tasks
from dp3.store.ports.batches import reached_by_all
from dp3.store.ports.entities import ENTITY_SHIFT
from dp3.store.ports.lifetimes import (
    Candidate,
    Collection,
    CollectionSlice,
    PendingTombstone,
    Referrer,
    SweepSlice,
)

DUE = 500
"""Entities whose tokens are looked at in one slice, and so system tasks of one log entry."""

WEAK_PAGE = 2_000
"""Entities passed in one slice in search of weak ones."""

LATER_US = 7 * 24 * 3600 * 1_000_000
"""Tokens that do not matter to the entity type are checked again so much later: its lifetime may become
another."""

TOMBSTONES = 300
"""Tombstones of one slice."""

TASKS = 100
"""System tasks of one slice, and so of one log entry: each reads and writes an attribute of an entity."""

FORGOTTEN = 1_000
"""Tombstones that are forgotten at a time."""

TTL, WEAK, DONE = "ttl", "weak", "done"

Offsets = Callable[[], dict[int, int]]
"""The offset that the worker has reached in each lane of the log."""


class Collector:
    """Finds own entities whose life is over and has the log say so: they are deleted when that is read,
    unless they got other tokens meanwhile. Nothing but what is due is looked at; weak entities all are.

    A collection is a record in the state, so another process goes on where one ended. With another number of
    workers it is given up. A collection that was missed while nobody worked is made up for.
    """

    name = "collection"
    watches = False
    every = 1

    def __init__(
        self,
        context: Context,
        plans: Mapping[str, TypePlan],
        settings: GarbageCollectorSettings,
        offsets: Offsets,
    ) -> None:
        self._state = context.store
        self._log = context.log
        self._clock = context.clock
        self._clock_watch = context.clock_watch
        self._lease = context.lease
        self._offsets = offsets
        self._types = {plan.id: plan for plan in plans.values()}
        self._weak = [plan.id for plan in plans.values() if plan.life.lifetime is Lifetime.WEAK]
        last, now = self._state.lifetimes.last_collection(self._lease.index), self._clock.now_us()
        resumable = last is not None and last.phase != DONE and last.workers == self._lease.worker_processes
        self._record = last if resumable else None
        since = now if last is None else min(last.begun + 1, now)
        self._schedule = Schedule(settings.collection_rate, since)
        self.wake_at = 0 if resumable else self._schedule.next

    def begin(self, now: int, failures: int) -> Work | None:
        """See `Job.begin`. The first slice of a new collection will store that it has begun."""
        lease = self._lease
        if not self._clock_watch.is_trusted:
            return None
        if self._schedule.passed(now) and self._record is None:
            self._record = Collection(lease.index, now, lease.worker_processes, now, TTL, -1)
        self.wake_at = self._schedule.next
        return self._steps()

    def _steps(self) -> Work:
        while (record := self._record) is not None:
            slice_ = self._slice(record)
            if not self._clock_watch.is_trusted:
                return  # the slice may have gone by a wrong time; `begin` is asked when it is right
            slice_.record = slice_.record._replace(updated=self._clock.now_us())
            self._state.lifetimes.write_collection(self._lease, slice_)
            self._record = None if slice_.record.phase == DONE else slice_.record
            yield None

    def _slice(self, record: Collection) -> CollectionSlice:
        as_of = self._as_of(self._offsets())
        partition = self._partition(record.after)
        if partition is None:
            return self._next_phase(record)
        if record.phase == TTL:
            return self._check_tokens(record, partition, as_of)
        return self._check_weak(record, partition, as_of)

    def _as_of(self, offsets: Mapping[int, int]) -> int:
        """The moment up to which the state knows all: what was not read yet may keep an entity."""
        now = self._clock.now_us()
        waiting = (self._log.append_time_after(lane, offsets[lane]) for lane in Lane)
        return min([now, *(time for time in waiting if time is not None)])

    def _partition(self, after: int) -> int | None:
        """The own partition with the next keys."""
        own = self._lease.partitions(self._state.partitions)
        return next((p for p in own if after < _end(p) - 1), None)

    def _next_phase(self, record: Collection) -> CollectionSlice:
        phase = WEAK if record.phase == TTL and self._weak else DONE
        return CollectionSlice(record._replace(phase=phase, after=-1))

    # -- tokens ----------------------------------------------------------------------------------------
    def _check_tokens(self, record: Collection, partition: int, as_of: int) -> CollectionSlice:
        due = self._state.lifetimes.due_tokens(partition, as_of, DUE)
        slice_, tasks = CollectionSlice(record), list[WireTask]()
        for entity, etype, eid, tokens in due:
            plan = self._types.get(etype)
            if plan is None or plan.life.lifetime is not Lifetime.TTL:
                slice_.expiry_checks[entity] = as_of + LATER_US
                continue
            verdict = judge(tokens, as_of)
            slice_.expiry_checks[entity] = verdict.look
            slice_.tokens_removed += [(entity, name) for name in verdict.tokens_over]
            if verdict.over:
                tasks.append(_expire(plan, eid, as_of))
        slice_.tasks = encode_tasks(tasks) if tasks else b""
        slice_.record = record._replace(
            after=record.after if len(due) == DUE else _end(partition) - 1,
            looked=record.looked + len(due),
            expired=record.expired + len(tasks),
            tokens=record.tokens + len(slice_.tokens_removed),
        )
        return slice_

    # -- weak entities ---------------------------------------------------------------------------------
    def _check_weak(self, record: Collection, partition: int, as_of: int) -> CollectionSlice:
        end = _end(partition)
        after = max(record.after, (partition << ENTITY_SHIFT) - 1)
        # In this order: what everybody has read by now is known when links are looked for.
        reached = reached_by_all(self._state.batches)
        last, looked, candidates = self._state.lifetimes.weak_entities(
            self._weak, after, end, as_of, WEAK_PAGE
        )
        over = _over(candidates, record.begun, reached)
        heads = {lane: self._log.head(lane).offset for lane in Lane} if candidates else {}
        tasks = [_expire(self._types[found.etype], found.eid, as_of) for found in over]
        return CollectionSlice(
            record._replace(
                after=last if looked == WEAK_PAGE else end - 1,
                looked=record.looked + looked,
                unreferenced=record.unreferenced + len(tasks),
            ),
            tasks=encode_tasks(tasks) if tasks else b"",
            after=after,
            last=last,
            unreferenced=[
                (found.entity, record.begun, heads[Lane.MAIN], heads[Lane.DERIVED]) for found in candidates
            ],
        )


def _over(candidates: Sequence[Candidate], begun: int, reached: Mapping[int, int]) -> list[Candidate]:
    """Entities that nothing referred to at an earlier collection, since when everybody has read what was in
    the log then."""
    return [
        found
        for found in candidates
        if found.since and found.since != begun
        if found.main <= reached[Lane.MAIN] and found.derived <= reached[Lane.DERIVED]
    ]


def _end(partition: int) -> int:
    """A key above all those of a partition."""
    return (partition + 1) << ENTITY_SHIFT


def _expire(plan: TypePlan, eid: str, as_of: int) -> WireTask:
    return WireTask(plan.etype, eid, [], system_task=Expire(as_of))


# -- tombstones -------------------------------------------------------------------------------------------
class Sweeper:
    """Works on the tombstones of one worker's partitions.

    A tombstone's turn comes when every partition has read what was appended before the deletion: a link that
    was on its way then is known, too. Tombstones change, and others read on, with commits only.
    """

    name = "sweeping of tombstones"
    wake_at = NEVER
    watches = True
    every = 1

    def __init__(self, context: Context) -> None:
        self._state = context.store
        self._lease = context.lease

    def begin(self, now: int, failures: int) -> Work | None:
        """See `Job.begin`. Mostly there are no tombstones at all."""
        return None if self._state.lifetimes.oldest_bounds() is None else self._steps()

    def _steps(self) -> Work:
        while self._sweep_some():
            yield None

    def _sweep_some(self) -> bool:
        """Do one slice; False if there is nothing to do before others have read further."""
        reached = reached_by_all(self._state.batches)
        slice_ = SweepSlice()
        tasks: list[WireTask] = []
        ripe = [
            pending
            for pending in self._state.lifetimes.tombstones(self._lease, TOMBSTONES)
            if pending.tombstone.main <= reached[Lane.MAIN]
            if pending.tombstone.derived <= reached[Lane.DERIVED]
        ]
        referrers = self._referrers(ripe)
        for pending in ripe:
            if len(tasks) >= TASKS:
                break
            self._sweep(pending, referrers.get(pending.id, ()), slice_, tasks)
        if not (slice_.moved or slice_.told or slice_.removed):
            return self._forget(reached[Lane.DERIVED])
        slice_.tasks = encode_tasks(tasks) if tasks else b""
        self._state.lifetimes.write_sweep(self._lease, slice_)
        return True

    def _referrers(self, ripe: Sequence[PendingTombstone]) -> Mapping[int, Sequence[Referrer]]:
        """Those who have links, by id of the tombstone; as many as one slice takes."""
        found: dict[int, list[Referrer]] = {}
        if linked := [pending for pending in ripe if pending.linked]:
            for id_, referrer in self._state.lifetimes.referrers(linked, TASKS):
                found.setdefault(id_, []).append(referrer)
        return found

    @staticmethod
    def _sweep(
        pending: PendingTombstone,
        referrers: Sequence[Referrer],
        slice_: SweepSlice,
        tasks: list[WireTask],
    ) -> None:
        of, room = pending.tombstone, TASKS - len(tasks)
        found = referrers[:room]
        for referrer in found:
            place = (of.at, of.main, of.derived, of.order)
            system_task = RemoveLinks(referrer.attr_name, pending.etype, of.eid, *place)
            tasks.append(WireTask(referrer.etype, referrer.eid, [], system_task=system_task))
        if len(found) == room:
            slice_.moved.append((pending.id, found[-1].attr, found[-1].source))
            return
        if found or pending.attr:
            slice_.told.append(pending.id)
            tasks.append(WireTask(pending.etype, of.eid, [], system_task=TombstoneDone(of.at, of.order)))
        else:
            slice_.removed.append(pending.id)

    def _forget(self, derived: int) -> bool:
        return self._state.lifetimes.forget_tombstones(self._lease, derived, FORGOTTEN) == FORGOTTEN
