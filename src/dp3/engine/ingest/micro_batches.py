"""Runs the hooks of a batch: spread by entity over threads, in log order within an entity."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from dp3.engine.ingest.batch import Item, Outcome
from dp3.engine.ingest.entities import EntityIndex, Identity
from dp3.engine.ingest.hooks import TaskHooks
from dp3.engine.plans import TypePlan

TASKS_PER_THREAD = 8
"""A wave has at least so many tasks for each thread, lest one slow entity leave the others idle."""


@dataclass(frozen=True, slots=True)
class MicroBatchLimits:
    """`batch_s`: after this time no further entry is begun. `threads`: hooks that run at the same time."""

    batch_s: float
    threads: int


Work = tuple[int, Item, Identity]
"""Index of the item in the batch, the item, its entity."""


class MicroBatches:
    """Waves of log entries: all hooks of one wave have returned before the next begins, so that a batch can
    end between two entries when its time is over."""

    def __init__(
        self,
        hooks: TaskHooks,
        plans: Mapping[str, TypePlan],
        entities: EntityIndex,
        executor: Executor,
        limits: MicroBatchLimits,
    ) -> None:
        self._hooks = hooks
        self._plans = plans
        self._entities = entities
        self._executor = executor
        self._limits = limits
        self._any = any(plan.hooked for plan in plans.values())

    def process(self, items: Sequence[Item]) -> tuple[dict[int, Outcome], int]:
        """Outcomes of the tasks that hooks saw, by index, and how many items, whole entries, were done."""
        outcomes: dict[int, Outcome] = {}
        if not self._any:
            return outcomes, len(items)
        end = time.perf_counter() + self._limits.batch_s
        exists: dict[Identity, bool] = {}
        done = 0
        while done < len(items) and (done == 0 or time.perf_counter() < end):
            wave, done = self._wave(items, done)
            self._run(wave, exists, outcomes)
        return outcomes, done

    def _wave(self, items: Sequence[Item], start: int) -> tuple[list[Work], int]:
        """Work of the next whole entries that have enough of it, and the index after them."""
        wave: list[Work] = []
        enough = TASKS_PER_THREAD * self._limits.threads
        for index in range(start, len(items)):
            item = items[index]
            if len(wave) >= enough and item.entry is not items[index - 1].entry:
                return wave, index
            plan = self._plans.get(item.task.etype)
            if plan is not None and plan.hooked and item.task.system_task is None:
                wave.append((index, item, (plan.id, str(item.task.eid))))
        return wave, len(items)

    def _run(self, wave: Sequence[Work], exists: dict[Identity, bool], outcomes: dict[int, Outcome]) -> None:
        groups: dict[Identity, list[Work]] = {}
        for work in wave:
            groups.setdefault(work[2], []).append(work)
        for identity in groups:
            if identity not in exists:
                exists[identity] = self._entities.key_of(identity) != 0
        queue = deque(groups.values())
        helpers = min(self._limits.threads, len(queue)) - 1
        futures = [self._executor.submit(self._run_groups, queue, exists, outcomes) for _ in range(helpers)]
        self._run_groups(queue, exists, outcomes)
        for future in futures:
            future.result()

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
