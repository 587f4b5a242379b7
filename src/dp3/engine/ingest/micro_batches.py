"""Runs the hooks of a batch: spread by entity over threads, in log order within an entity."""

import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor

from dp3.engine.ingest.attempts import Attempts
from dp3.engine.ingest.entities import EntityIndex, Identity
from dp3.engine.ingest.hooks import Outcome, TaskHooks
from dp3.engine.ingest.reader import Item
from dp3.engine.plans import TypePlan

TASKS_PER_THREAD = 8
"""Tasks that are run together are at least so many for each thread, lest one slow entity leave the others
idle."""


Work = tuple[int, Item, Identity]
"""Index of the item in the batch, the item, its entity."""


class MicroBatches:
    """Runs hooks for whole entries, some at a time: all hooks of these have returned before the next begin,
    so that a batch can end between two entries when its time is over. `attempts` notes what is begun; what it
    suspects runs task by task in the calling thread.

    `batch_s`: after this time no further entry is begun. `threads`: hooks that run at the same time. `any`:
    whether there are hooks at all.
    """

    def __init__(
        self,
        hooks: TaskHooks,
        plans: Mapping[str, TypePlan],
        entities: EntityIndex,
        executor: Executor,
        batch_s: float,
        threads: int,
        attempts: Attempts,
    ) -> None:
        self._hooks = hooks
        self._plans = plans
        self._entities = entities
        self._executor = executor
        self._batch_s = batch_s
        self._threads = threads
        self._attempts = attempts
        self.any = any(plan.hooked for plan in plans.values())

    def process(self, items: Sequence[Item]) -> tuple[dict[int, Outcome], int]:
        """Outcomes of the tasks that hooks saw, by index, and how many items, whole entries, were done."""
        outcomes: dict[int, Outcome] = {}
        exists: dict[Identity, bool] = {}
        if self._attempts.run_alone:
            done = self._run_alone(items, exists, outcomes)
        else:
            done = self._run_together(items, exists, outcomes)
        self._attempts.hooks_done()
        return outcomes, done

    def _run_alone(
        self, items: Sequence[Item], exists: dict[Identity, bool], outcomes: dict[int, Outcome]
    ) -> int:
        """Run one entry, task by task; those that have ended the worker are left out."""
        work, done = self._next(items, 0)
        self._look_up((identity for _, _, identity in work), exists)
        with self._attempts.calls.alone():
            for index, item, identity in work:
                if self._attempts.may_run(item.task.first):
                    outcomes[index], exists[identity] = self._hooks.run(item, exists[identity])
                else:
                    outcomes[index] = Outcome(deadly=True)
        return done

    def _run_together(
        self, items: Sequence[Item], exists: dict[Identity, bool], outcomes: dict[int, Outcome]
    ) -> int:
        end = time.perf_counter() + self._batch_s
        done = 0
        while done < len(items) and (done == 0 or time.perf_counter() < end):
            work, done = self._next(items, done)
            if work:
                self._attempts.hooks_of(work[0][1].entry.offset, work[-1][1].entry.offset)
                with self._attempts.calls.alone():
                    self._run(work, exists, outcomes)
        return done

    def _next(self, items: Sequence[Item], start: int) -> tuple[list[Work], int]:
        """Work of the next whole entries that have enough of it, and the index after them."""
        work: list[Work] = []
        enough = TASKS_PER_THREAD * self._threads
        for index in range(start, len(items)):
            item = items[index]
            if len(work) >= enough and item.entry is not items[index - 1].entry:
                return work, index
            plan = self._plans.get(item.task.etype)
            if plan is not None and plan.hooked and item.task.system_task is None:
                work.append((index, item, (plan.id, str(item.task.eid))))
        return work, len(items)

    def _run(self, work: Sequence[Work], exists: dict[Identity, bool], outcomes: dict[int, Outcome]) -> None:
        groups: dict[Identity, list[Work]] = {}
        for one in work:
            groups.setdefault(one[2], []).append(one)
        self._look_up(groups, exists)
        queue = deque(groups.values())
        helpers = min(self._threads, len(queue)) - 1
        futures = [self._executor.submit(self._run_groups, queue, exists, outcomes) for _ in range(helpers)]
        self._run_groups(queue, exists, outcomes)
        for future in futures:
            future.result()

    def _look_up(self, identities: Iterable[Identity], exists: dict[Identity, bool]) -> None:
        for identity in identities:
            if identity not in exists:
                exists[identity] = self._entities.key_of(identity) != 0

    def _run_groups(
        self,
        queue: deque[list[Work]],
        exists: dict[Identity, bool],
        outcomes: dict[int, Outcome],
    ) -> None:
        """Take entities from the queue until it is empty. Each entity is in the hands of one thread."""
        while True:
            try:
                group = queue.popleft()
            except IndexError:
                return
            for index, item, identity in group:
                outcomes[index], exists[identity] = self._hooks.run(item, exists[identity])
