"""Visits to entities, a page at a time: hooks run in threads, and what they did is committed with how far the
visits are."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any, TypeVar

from dp3.common.utils import batched
from dp3.engine.context import Context
from dp3.engine.jobs.hook_effects import Effects, HookCaller
from dp3.engine.jobs.job import Waiting, Work, result_of
from dp3.engine.jobs.thread_pool import HookThreads
from dp3.engine.jobs.updates.cycle import Subject
from dp3.engine.jobs.updates.groups import HookGroup
from dp3.hooks.outcome import HookError
from dp3.hooks.pool import DaemonPool
from dp3.model.wire import encode_tasks
from dp3.store.ports.dead_letters import DeadLetter
from dp3.store.ports.updates import UpdateBatch

FIRST, LARGEST = 50, 500
"""Entities of a page: of the first one, and at most."""

PAGE_S = 1.0
"""Hooks of a page are called again if the worker ends before the commit: so much of their time is lost."""

PAGE_BYTES = 1_500_000
"""Of profiles in a page."""

PAGE_TASKS = 2_000
"""Of hooks in a page: some 20 ms of writing."""

MOST_DEAD_LETTERS = 100
"""Dead letters of one hook that are kept of one batch; more are only counted."""

MOST_TASKS = 1_000
"""Tasks in one row of the outbox."""

CAREFUL_TRIES = 3
"""After so many starts at one place a worker goes on entity by entity."""

T = TypeVar("T")

logger = logging.getLogger(__name__)


class PageSize:
    """The number of entities to visit between two commits. Adapts to what pages took: shrinks at once, grows
    by half, to at most `most`."""

    def __init__(self, most: int | None = None) -> None:
        self._most = LARGEST if most is None else most
        self.entities = min(FIRST, self._most)

    def learn(self, page: Sequence[Subject], wall_s: float, tasks: int) -> None:
        """Take into account how long the hooks of a page took and how many tasks they returned."""
        size = sum(len(subject.profile) for subject in page)
        share = max(wall_s / PAGE_S, size / PAGE_BYTES, tasks / PAGE_TASKS, 1e-6)
        fitting = int(len(page) / share)
        if fitting < self.entities or len(page) >= self.entities:
            self.entities = max(1, min(fitting, self.entities + self.entities // 2 + 1, self._most))


class Visits:
    """The visits of one job. Hooks run in at most `threads` threads of its own: when they wait for other
    systems, neither data-points nor other jobs wait for them. A thread of `io` reads.

    `begin` comes first, then `call` and `commit` page by page, all in the worker's thread.
    """

    def __init__(self, context: Context, caller: HookCaller, io: Executor, threads: int) -> None:
        self._state = context.store
        self._lease = context.lease
        self._caller = caller
        self._io = io
        self._pool = HookThreads(DaemonPool(threads, "updates"), threads)
        self._usual = self._size = PageSize()
        self._kept = Counter[str]()

    @property
    def size(self) -> int:
        """The number of entities that the next page shall have."""
        return self._size.entities

    def begin(self, tries: int = 0) -> bool:
        """Begin a batch. `tries`: so many workers in a row have ended at this place; after some of them the
        pages have one entity each. True: the next one is known to be to blame, and to be left out."""
        self._kept.clear()
        self._size = self._usual if tries < CAREFUL_TRIES else PageSize(most=1)
        return tries > CAREFUL_TRIES

    def read(self, function: Callable[..., T], *arguments: Any) -> Waiting[T]:
        """Read beside the worker's thread."""
        return result_of(self._io.submit(function, *arguments))

    def call(self, group: HookGroup, page: Sequence[Subject]) -> Waiting[Effects]:
        """Call all hooks for the entities of a page."""
        effects, started = Effects(), time.perf_counter()
        yield from self._pool.spread(page, partial(group.visit, caller=self._caller), effects)
        self._size.learn(page, time.perf_counter() - started, len(effects.tasks))
        return effects

    def leave_out(self, group: HookGroup, page: Iterable[Subject], reason: str) -> Effects:
        """Set entities aside instead of calling the hooks for them."""
        effects, error = Effects(), HookError("hook", reason)
        for subject in page:
            logger.error("%s: %s is left out: its hooks ended the worker repeatedly", group, subject.eid)
            group.fail(subject, self._caller, effects, error)
        return effects

    def commit(self, batch: UpdateBatch, effects: Effects) -> Work:
        """Commit how far the visits are with what hooks did."""
        batch.tasks = [encode_tasks(part) for part in batched(effects.tasks, MOST_TASKS)]
        batch.dead_letters = self._to_keep(effects.dead_letters)
        if effects.errors:
            batch.counters["module_error"] = effects.errors
        batch.hooks = effects.hooks.rows()
        yield partial(self._state.updates.write, self._lease, batch)

    def _to_keep(self, dead_letters: Iterable[DeadLetter]) -> list[DeadLetter]:
        kept = []
        for one in dead_letters:
            self._kept[one.hook] += 1
            if self._kept[one.hook] <= MOST_DEAD_LETTERS:
                kept.append(one)
        return kept
