"""Periodic hooks: each group of them is a job that does one batch after the other, begun by a schedule."""

import logging
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import partial

from dp3.clock import to_datetime
from dp3.config.sections import UpdaterSettings
from dp3.engine.context import Context
from dp3.engine.jobs.hook_effects import Effects
from dp3.engine.jobs.job import NEVER, Schedule, Work
from dp3.engine.jobs.updates.cycle import (
    Subject,
    end_key,
    is_last,
    may_begin,
    missed_batches,
    next_batch,
    visited,
    with_target,
)
from dp3.engine.jobs.updates.visits import HookGroup, Visits
from dp3.store.ports.batches import Stream
from dp3.store.ports.state import State
from dp3.store.ports.updates import UpdateBatch, UpdateCycle, UpdateProgress

logger = logging.getLogger(__name__)


class PageReader:
    """The pages of a batch, partition after partition. For one thread at a time, whichever.

    `rows`: where the batch is in the partitions in which it is under way.
    """

    def __init__(self, state: State, group: HookGroup, rows: Iterable[UpdateProgress]) -> None:
        self._state = state
        self._group = group
        self._rows = deque(rows)

    def next(self, size: int) -> tuple[list[Subject], list[tuple[UpdateProgress, int]]]:
        """The next page of at most `size` entities, and for each partition that it touches where the batch is
        after it and how many entities it has there. No partition: there are no more."""
        page, rows, room = list[Subject](), list[tuple[UpdateProgress, int]](), size
        while self._rows and room:
            row = self._rows.popleft()
            wanted = min(room, row.target - row.done)
            found = self._read(row, wanted)
            row = visited(row, [subject.key for subject in found], wanted)
            page += found
            rows.append((row, len(found)))
            room -= len(found)
            if row.open:
                self._rows.appendleft(row)
        return (self._with_profiles(page) if page and self._group.records else page), rows

    def _read(self, row: UpdateProgress, limit: int) -> list[Subject]:
        if not limit:
            return []
        end = end_key(row.partition)
        found = self._state.entities.between(self._group.id.etype, row.after, end, limit)
        return [Subject(key, eid) for key, eid in found]

    def _with_profiles(self, page: list[Subject]) -> list[Subject]:
        """The entities that were not deleted meanwhile."""
        profiles = self._state.entities.profiles([subject.key for subject in page], whole=True)
        return [
            subject._replace(profile=profiles[subject.key]) for subject in page if subject.key in profiles
        ]


class PeriodicHooks:
    """The batches of one group of hooks, never two at once. A batch that was under way when another process
    ended is finished first."""

    watches = False
    every = 1

    def __init__(self, context: Context, group: HookGroup, visits: Visits, batch_period: timedelta) -> None:
        self.name = str(group)
        self.wake_at = 0
        self._state = context.store
        self._clock = context.clock
        self._lease = context.lease
        self._group = group
        self._visits = visits
        self._period = batch_period // timedelta(microseconds=1)
        self._batches = group.batches(batch_period)
        self._resumes = True
        self._under_way = False
        self._tick: int | None = None

    def request(self, tick: int) -> None:
        """Begin the batch that is due at `tick` (µs) at the next turn."""
        if self._under_way:
            logger.warning(
                "%s: the batch of %s is left out, the one before is still under way",
                self._group,
                to_datetime(tick),
            )
        else:
            self._tick, self.wake_at = tick, 0

    def begin(self, now: int, failures: int) -> Work | None:
        """See `Job.begin`."""
        self.wake_at = NEVER
        return self._batch(self._tick)

    def _batch(self, tick: int | None) -> Work:
        """Finish what another process has begun; then begin what is due at `tick` where nothing is under way,
        and visit all entities that are due."""
        self._under_way = True
        try:
            rows = yield from self._visits.read(self._state.updates.progress, self._group.id)
            if self._resumes and (left := self._open(rows)):
                self._resumes = False
                yield from self._resume(left)
                rows = yield from self._visits.read(self._state.updates.progress, self._group.id)
            self._resumes = False
            self._visits.begin()
            if tick is not None:
                yield from self._begin(rows, tick)
            yield from self._visit(self._open(rows))
            self._tick = None
        finally:
            self._under_way = False

    def _resume(self, rows: Sequence[UpdateProgress]) -> Work:
        """Finish a batch. If workers end again and again at the same place, go on entity by entity."""
        first, *others = rows
        first = first._replace(tries=first.tries + 1)
        yield from self._write([first])
        self._visits.begin(first.tries)
        yield from self._visit([first, *others])

    def _open(self, rows: dict[int, UpdateProgress]) -> list[UpdateProgress]:
        return [row for p in self._partitions() if (row := rows.get(p)) is not None and row.open]

    def _partitions(self) -> range:
        return self._lease.partitions(self._state.partitions)

    # -- beginning -------------------------------------------------------------------------------------
    def _begin(self, rows: dict[int, UpdateProgress], tick: int) -> Work:
        """Begin the batch of `tick` in the partitions where none is under way; `rows` will have them."""
        free = [p for p in self._partitions() if may_begin(rows.get(p), tick, self._period)]
        missed = max((missed_batches(rows.get(p), tick, self._period) for p in free), default=0)
        begun = [next_batch(rows.get(p), p, tick, self._batches) for p in free]
        begun = yield from self._visits.read(self._with_targets, begun)
        rows.update((row.partition, row) for row in begun)
        if missed:
            logger.warning(
                "%s: %d batches before the one of %s were missed, the cycle takes so much longer; "
                "either the worker did not run or the hooks need more time than their period gives them",
                self._group,
                missed,
                to_datetime(tick),
            )
        yield from self._write(begun, missed=missed)

    def _with_targets(self, rows: Iterable[UpdateProgress]) -> list[UpdateProgress]:
        return [row if is_last(row) else self._with_target(row) for row in rows]

    def _with_target(self, row: UpdateProgress) -> UpdateProgress:
        etype = self._group.id.etype
        remaining = self._state.entities.count_between(etype, row.after, end_key(row.partition))
        return with_target(row, remaining, self._state.partitions)

    # -- visiting --------------------------------------------------------------------------------------
    def _visit(self, rows: Sequence[UpdateProgress]) -> Work:
        """Visit all that is due; a page is read while hooks run for the one before."""
        visits, reader = self._visits, PageReader(self._state, self._group, rows)
        page, touched = yield from visits.read(reader.next, visits.size)
        while touched:
            ahead = visits.read(reader.next, visits.size)
            effects = yield from visits.call(self._group, page)
            done = Counter[int]()
            for row, entities in touched:
                done[row.begun] += entities
            yield from self._write([row for row, _ in touched], effects, done)
            page, touched = yield from ahead

    def _write(
        self,
        rows: Sequence[UpdateProgress],
        effects: Effects | None = None,
        done: Counter[int] | None = None,
        missed: int = 0,
    ) -> Work:
        """Commit where the batch is, with what hooks did."""
        batch = UpdateBatch(
            group=self._group.id,
            stream=Stream.UPDATES,
            rows=rows,
            cycles=self._cycles(rows, done or Counter(), missed),
            counters={"update_batches_missed": missed} if missed else {},
        )
        yield from self._visits.commit(batch, effects or Effects())

    def _cycles(self, rows: Iterable[UpdateProgress], done: Counter[int], missed: int) -> list[UpdateCycle]:
        """The cycles of rows: mostly all are in the same one."""
        now = self._clock.now_us()
        return [
            UpdateCycle(
                group=self._group.id,
                worker=self._lease.index,
                begun=row.begun,
                updated=now,
                batch=row.batch,
                batches=row.batches,
                visited=done[row.begun],
                missed=missed,
                finished=is_last(row) and not row.open,
            )
            for row in {row.begun: row for row in rows}.values()
        ]


class UpdateSchedule:
    """Begins the batches of all groups, which do not wait for each other, and removes old records of them."""

    name = "schedule of periodic hooks"
    watches = False
    every = 1

    def __init__(self, context: Context, groups: Sequence[PeriodicHooks], settings: UpdaterSettings) -> None:
        now = context.clock.now_us()
        self._state = context.store
        self._lease = context.lease
        self._groups = groups
        self._batches = Schedule(settings.update_batch_cron, now)
        self._cleaning = Schedule(settings.cache_management_cron, now)
        self._kept = settings.cache_max_entries
        self.wake_at = self._next

    @property
    def _next(self) -> int:
        return min(self._batches.next, self._cleaning.next)

    def begin(self, now: int, failures: int) -> Work | None:
        """See `Job.begin`."""
        if (tick := self._batches.due(now)) is not None:
            for group in self._groups:
                group.request(tick)
        cleans = self._cleaning.due(now) is not None
        self.wake_at = self._next
        return self._clean() if cleans else None

    def _clean(self) -> Work:
        yield partial(self._state.updates.forget_cycles, self._lease, self._kept)
