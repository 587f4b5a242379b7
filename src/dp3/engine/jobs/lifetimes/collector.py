"""Collections: the search for entities whose life is over, in slices."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dp3.clock import Clock
from dp3.engine.plans import Lifetime, TypePlan, judge
from dp3.engine.positions import reached_by_all
from dp3.log.port import Lane, Log
from dp3.model.wire import Expire, WireTask, encode_tasks
from dp3.store.ports.entities import ENTITY_SHIFT
from dp3.store.ports.leases import Lease
from dp3.store.ports.lifetimes import Candidate, Collection, CollectionSlice
from dp3.store.ports.state import State

DUE = 500
"""Entities whose tokens are looked at in one slice, and so system tasks of one log entry."""

WEAK_PAGE = 2_000
"""Entities passed in one slice in search of weak ones."""

LATER_US = 7 * 24 * 3600 * 1_000_000
"""When to look again at tokens that do not matter to the entity type: its lifetime may become another."""

TTL, WEAK, DONE = "ttl", "weak", "done"

Offsets = Callable[[], dict[int, int]]


@dataclass(frozen=True, slots=True)
class CollectorParts:
    """What a collector needs; `plans` by entity type."""

    state: State
    log: Log
    clock: Clock
    lease: Lease
    plans: Mapping[str, TypePlan]


class Collector:
    """Finds own entities whose life is over and has the log say so: they are deleted when that is read,
    unless they got other tokens meanwhile. Nothing but what is due is looked at; weak entities all are.

    A collection is a record in the state, so another process goes on where one ended. With another number of
    workers it is given up, the next one makes up for it.
    """

    def __init__(self, parts: CollectorParts) -> None:
        self._parts = parts
        self._types = {plan.id: plan for plan in parts.plans.values()}
        self._weak = [plan.id for plan in parts.plans.values() if plan.life.lifetime is Lifetime.WEAK]
        last = parts.state.lifetimes.last_collection(parts.lease.index)
        resumable = last is not None and last.phase != DONE and last.workers == parts.lease.worker_processes
        self._record = last if resumable else None

    @property
    def is_open(self) -> bool:
        return self._record is not None

    def begin(self) -> None:
        """Begin a collection, unless one is under way; the first slice will store that."""
        if self._record is None:
            lease = self._parts.lease
            now = self._parts.clock.now_us()
            self._record = Collection(lease.index, now, lease.worker_processes, now, TTL, -1)

    def step(self, offsets: Offsets) -> None:
        """Do one slice of the open collection. `offsets`: how far the worker is in each lane of the log."""
        record = self._record
        assert record is not None, "no collection is open"
        moment = self._moment(offsets())
        partition = self._partition(record.after)
        if partition is None:
            slice_ = self._next_phase(record)
        elif record.phase == TTL:
            slice_ = self._look_at_tokens(record, partition, moment)
        else:
            slice_ = self._look_at_weak(record, partition, moment)
        slice_.record = slice_.record._replace(updated=self._parts.clock.now_us())
        self._parts.state.lifetimes.write_collection(self._parts.lease, slice_)
        self._record = None if slice_.record.phase == DONE else slice_.record

    def _moment(self, offsets: Mapping[int, int]) -> int:
        """As of when the state is: what was not read yet may keep an entity."""
        now = self._parts.clock.now_us()
        waiting = (self._parts.log.append_time_after(lane, offsets[lane]) for lane in Lane)
        return min((time for time in waiting if time is not None), default=now)

    def _partition(self, after: int) -> int | None:
        """The own partition with the next keys."""
        own = self._parts.lease.partitions(self._parts.state.partitions)
        return next((p for p in own if after < _end(p) - 1), None)

    def _next_phase(self, record: Collection) -> CollectionSlice:
        phase = WEAK if record.phase == TTL and self._weak else DONE
        return CollectionSlice(record._replace(phase=phase, after=-1))

    # -- tokens ----------------------------------------------------------------------------------------
    def _look_at_tokens(self, record: Collection, partition: int, moment: int) -> CollectionSlice:
        due = self._parts.state.lifetimes.due_tokens(partition, moment, DUE)
        slice_, tasks = CollectionSlice(record), list[WireTask]()
        for entity, etype, eid, tokens in due:
            plan = self._types.get(etype)
            if plan is None or plan.life.lifetime is not Lifetime.TTL:
                slice_.expiry_checks[entity] = moment + LATER_US
                continue
            verdict = judge(tokens, moment)
            slice_.expiry_checks[entity] = verdict.look
            slice_.tokens_removed += [(entity, name) for name in verdict.tokens_over]
            if verdict.over:
                tasks.append(_collect(plan, eid, moment))
        slice_.tasks = encode_tasks(tasks) if tasks else b""
        slice_.record = record._replace(
            after=record.after if len(due) == DUE else _end(partition) - 1,
            looked=record.looked + len(due),
            expired=record.expired + len(tasks),
            tokens=record.tokens + len(slice_.tokens_removed),
        )
        return slice_

    # -- weak entities ---------------------------------------------------------------------------------
    def _look_at_weak(self, record: Collection, partition: int, moment: int) -> CollectionSlice:
        parts, end = self._parts, _end(partition)
        after = max(record.after, (partition << ENTITY_SHIFT) - 1)
        # In this order: what everybody has read by now is known when links are looked for.
        reached = reached_by_all(parts.state)
        last, looked, candidates = parts.state.lifetimes.weak_entities(
            self._weak, after, end, moment, WEAK_PAGE
        )
        over = _over(candidates, record.begun, reached)
        heads = {lane: parts.log.head(lane).offset for lane in Lane} if candidates else {}
        tasks = [_collect(self._types[found.etype], found.eid, moment) for found in over]
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
    """Those that nothing referred to at an earlier collection, since when everybody has read what was in the
    log then."""
    return [
        found
        for found in candidates
        if found.since and found.since < begun
        if found.main <= reached[Lane.MAIN] and found.derived <= reached[Lane.DERIVED]
    ]


def _end(partition: int) -> int:
    """What is above all keys of a partition."""
    return (partition + 1) << ENTITY_SHIFT


def _collect(plan: TypePlan, eid: str, moment: int) -> WireTask:
    return WireTask(plan.etype, eid, [], system_task=Expire(moment))
