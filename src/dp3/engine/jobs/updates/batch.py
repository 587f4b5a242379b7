"""One batch of a group of periodic hooks: visits the entities that are due, in pieces."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, TypeVar

from dp3.clock import Clock, to_datetime
from dp3.engine.jobs.hook_effects import Effects, HookCaller
from dp3.engine.jobs.thread_pool import HookThreads
from dp3.engine.jobs.updates.cycle import end_key, is_last, may_begin, missed_batches, next_batch, with_target
from dp3.engine.jobs.updates.groups import HookGroup
from dp3.engine.jobs.updates.paging import PageSize
from dp3.engine.jobs.updates.reading import Page, PageReader
from dp3.engine.jobs.updates.slices import Slices
from dp3.engine.jobs.updates.visiting import Visitor
from dp3.engine.jobs.waiting import Wait, finished
from dp3.hooks.outcome import HookError
from dp3.hooks.pool import DaemonPool
from dp3.store.ports.batches import Stream
from dp3.store.ports.leases import Lease
from dp3.store.ports.state import State
from dp3.store.ports.updates import UpdateBatch, UpdateCycle, UpdateProgress

"""The outbox stream of tasks that periodic hooks return."""

CAREFUL_TRIES = 3
"""After so many starts at one place a worker goes on entity by entity."""

T = TypeVar("T")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UpdateParts:
    """What the batches of all groups need. At most `threads` hooks of a group run at a time; threads of `io`
    read. `batch_period` is in microseconds."""

    state: State
    clock: Clock
    lease: Lease
    caller: HookCaller
    io: Executor
    threads: int
    batch_period: int


class GroupBatch:
    """Begins and finishes batches of one group, never two at once.

    Its hooks run in threads of their own: when they wait for other systems, neither data-points nor other
    groups wait for them.
    """

    def __init__(self, parts: UpdateParts, group: HookGroup) -> None:
        self._parts = parts
        self._group = group
        self._visitor = Visitor(group, parts.caller, parts.state.entities)
        self._crew = HookThreads(DaemonPool(parts.threads, "updates"), parts.threads)
        self._size = PageSize()
        self._slices = Slices(parts.state, parts.clock, parts.lease)

    def is_open(self) -> bool:
        """Whether a batch was begun and not finished, by whichever process."""
        return any(row.open for row in self._own(self._parts.state.updates.progress(self._group.id)))

    def _own(self, rows: dict[int, UpdateProgress]) -> list[UpdateProgress]:
        return [rows[partition] for partition in self._partitions() if partition in rows]

    def _partitions(self) -> range:
        return self._parts.lease.partitions(self._parts.state.partitions)

    def steps(self, tick: int) -> Wait:
        """Begin the batch that is due at `tick` (µs) where none is under way, and visit all entities that are
        due."""
        self._slices.begin()
        rows = yield from self._read(self._parts.state.updates.progress, self._group.id)
        yield from self._begin(rows, tick)
        yield from self._visit([row for row in self._own(rows) if row.open], self._size)

    def resume(self) -> Wait:
        """Finish the batch that is under way since another process has ended. If that happens again and again
        at the same place, go on entity by entity; then the one at which it happens is known, and left out."""
        rows = yield from self._read(self._parts.state.updates.progress, self._group.id)
        first, *others = [row for row in self._own(rows) if row.open]
        first = first._replace(tries=first.tries + 1)
        yield from self._write([first])
        size = self._size if first.tries < CAREFUL_TRIES else PageSize(most=1)
        if first.tries > CAREFUL_TRIES:
            first = yield from self._leave_out(first)
        yield from self._visit([row for row in (first, *others) if row.open], size)

    def _leave_out(self, row: UpdateProgress) -> Generator[Future[Any] | None, None, UpdateProgress]:
        """Set aside the next entity of a partition."""
        group, effects = self._group, Effects()
        reader = PageReader(self._parts.state, group.id, [row], records=False)
        page = (yield from self._read(reader.next, 1)) or Page()
        for subject in page.subjects:
            logger.error("%s: %s is left out: its hooks ended the worker repeatedly", group, subject.eid)
            error = HookError("hook", "a hook of this period ended the worker process repeatedly")
            self._parts.caller.fail(
                group.hooks[0], group.etype, group.values.eid(subject.eid), effects, error
            )
        rows = [row for row, _ in page.rows]
        yield from self._write(rows, effects)
        return rows[-1]

    def _read(self, function: Callable[..., T], *arguments: Any) -> Generator[Future[Any] | None, None, T]:
        reading = self._parts.io.submit(function, *arguments)
        yield from finished(reading)
        return reading.result()

    # -- beginning -------------------------------------------------------------------------------------
    def _begin(self, rows: dict[int, UpdateProgress], tick: int) -> Wait:
        period, batches = self._parts.batch_period, self._group.batches
        free = [p for p in self._partitions() if may_begin(rows.get(p), tick, period)]
        missed = max((missed_batches(rows.get(p), tick, period) for p in free), default=0)
        begun = [next_batch(rows.get(p), p, tick, batches) for p in free]
        begun = yield from self._read(self._with_targets, begun)
        rows.update((row.partition, row) for row in begun)
        if missed:
            self._report(missed, tick)
        yield from self._write(begun, missed=missed)

    def _with_targets(self, rows: Iterable[UpdateProgress]) -> list[UpdateProgress]:
        return [row if is_last(row) else self._with_target(row) for row in rows]

    def _with_target(self, row: UpdateProgress) -> UpdateProgress:
        state, etype = self._parts.state, self._group.id.etype
        remaining = state.entities.count_between(etype, row.after, end_key(row.partition))
        return with_target(row, remaining, state.partitions)

    def _report(self, missed: int, tick: int) -> None:
        logger.warning(
            "%s: %d batches before the one of %s were missed, the cycle takes so much longer; "
            "either the worker did not run or the hooks need more time than their period gives them",
            self._group,
            missed,
            to_datetime(tick),
        )

    # -- visiting --------------------------------------------------------------------------------------
    def _visit(self, rows: Sequence[UpdateProgress], size: PageSize) -> Wait:
        reader = PageReader(self._parts.state, self._group.id, rows, records=self._group.master is not None)
        reading = self._parts.io.submit(reader.next, size.entities)
        while True:
            yield from finished(reading)
            page = reading.result()
            if page is None:
                return
            reading = self._parts.io.submit(reader.next, size.entities)
            yield from self._visit_page(page, size)

    def _visit_page(self, page: Page, size: PageSize) -> Wait:
        effects, started = Effects(), time.perf_counter()
        yield from self._crew.spread(page.subjects, self._visitor.visit, effects)
        size.learn(page, time.perf_counter() - started, len(effects.tasks))
        visited: Counter[int] = Counter()
        for row, entities in page.rows:
            visited[row.begun] += entities
        yield from self._write([row for row, _ in page.rows], effects, visited)

    def _write(
        self,
        rows: Sequence[UpdateProgress],
        effects: Effects | None = None,
        visited: Counter[int] | None = None,
        missed: int = 0,
    ) -> Wait:
        """Commit where the batch is, with what hooks did."""
        batch = UpdateBatch(
            group=self._group.id,
            stream=Stream.UPDATES,
            rows=rows,
            cycles=self._cycles(rows, visited or Counter(), missed),
            counters={"update_batches_missed": missed} if missed else {},
        )
        yield from self._slices.commit(batch, effects or Effects())

    def _cycles(
        self, rows: Iterable[UpdateProgress], visited: Counter[int], missed: int
    ) -> list[UpdateCycle]:
        """What the rows say of their cycles: mostly all are in the same one."""
        now = self._parts.clock.now_us()
        return [
            UpdateCycle(
                group=self._group.id,
                worker=self._parts.lease.index,
                begun=row.begun,
                updated=now,
                batch=row.batch,
                batches=row.batches,
                visited=visited[row.begun],
                missed=missed,
                finished=is_last(row) and not row.open,
            )
            for row in {row.begun: row for row in rows}.values()
        ]
