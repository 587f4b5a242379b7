"""Visits of groups of hooks to entities, a page at a time: hooks run in threads, and what they did is
committed with how far the visits are."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from dp3.common.utils import batched
from dp3.engine.context import Context
from dp3.engine.jobs.hook_effects import DeadLetterLimit, Effects, HookCaller
from dp3.engine.jobs.job import Waiting, Work, result_of
from dp3.engine.jobs.snapshots.masters import MasterReader
from dp3.engine.jobs.snapshots.records import plan_records
from dp3.engine.jobs.snapshots.values import plan_values
from dp3.engine.jobs.thread_pool import HookThreads
from dp3.engine.jobs.updates.cycle import Subject
from dp3.hooks.kinds import HOOK_SPECS, HookKind
from dp3.hooks.outcome import hook_failed
from dp3.hooks.pool import DaemonPool
from dp3.hooks.registration import HookRegistration
from dp3.hooks.table import Hook
from dp3.model.attrspec import AttrSpecReadOnly
from dp3.model.spec import ModelSpec
from dp3.model.task import task_from_wire
from dp3.model.wire import WireTask, encode_tasks
from dp3.store.ports.state import State
from dp3.store.ports.updates import UpdateBatch, UpdateGroup

CREATION: HookKind = "on_entity_creation"

Call = tuple[Hook, Any, tuple[Any, ...]]
"""A hook, the typed id of the entity, and its arguments."""

FIRST, LARGEST = 50, 500
"""Entities of a page: of the first one, and at most."""

PAGE_S = 1.0
"""Hooks of a page are called again if the worker ends before the commit: so much of their time is lost."""

PAGE_BYTES = 1_500_000
"""Of profiles in a page."""

PAGE_TASKS = 2_000
"""Of hooks in a page: some 20 ms of writing."""

MOST_TASKS = 1_000
"""Tasks in one row of the outbox."""

CAREFUL_TRIES = 3
"""After so many starts at one place a worker goes on entity by entity."""

T = TypeVar("T")

logger = logging.getLogger(__name__)


class HookGroup:
    """Hooks of one entity type, period and kind, in the order of registration. May be used by several threads
    at once.

    A cycle has `batches` batches. `records`: the hooks get the master record of the entity.
    """

    def __init__(
        self,
        model: ModelSpec,
        store: State,
        etype: str,
        kind: HookKind,
        period: timedelta,
        hooks: Iterable[Hook],
    ) -> None:
        specs = model.entity_attributes[etype]
        numbers = {
            name: store.names.attr_id(etype, name)
            for name, spec in specs.items()
            if not isinstance(spec, AttrSpecReadOnly)
        }
        attrs = {number: specs[name] for name, number in numbers.items()}
        records = plan_records(model, etype)
        self.id = UpdateGroup(kind, store.names.etype_id(etype), period // timedelta(microseconds=1))
        self.etype = etype
        self.hooks = tuple(hooks)
        self.records = HOOK_SPECS[kind].takes_record
        self._model = model
        self._values = plan_values(model, etype, numbers, store.entities)
        self._decode_profile = store.entities.decode_profile
        self._read_eid = records.fields["eid"].read
        self._master = MasterReader(records, attrs, store.entities)

    def __str__(self) -> str:
        every = f" every {timedelta(microseconds=self.id.period)}" if self.id.period else ""
        return f"{self.id.kind} hooks of {self.etype}{every}"

    def batches(self, batch_period: timedelta) -> int:
        """The number of batches of a cycle."""
        return max(1, timedelta(microseconds=self.id.period) // batch_period)

    def visit(self, subject: Subject, caller: HookCaller) -> Effects:
        """Call all hooks for an entity; one that fails does not keep the others from it."""
        effects, eid = Effects(), self._values.eid(subject.eid)
        try:
            for hook, typed, arguments in self._calls(subject, eid):
                caller.call(hook, (self.etype, typed), eid, effects, *arguments)
        except Exception as error:  # what is stored does not fit the model any more
            caller.fail(self.hooks[0], self.etype, eid, effects, hook_failed(error))
        return effects

    def _calls(self, subject: Subject, eid: int | str) -> Iterator[Call]:
        """Each hook with what it gets, a record of its own if it gets one."""
        if self.id.kind == CREATION:
            task = task_from_wire(WireTask(self.etype, eid, []), self._model)
            yield from ((hook, task.eid, (task.eid, task)) for hook in self.hooks)
            return
        typed = self._read_eid(eid)
        profile = self._decode_profile(subject.profile) if self.records else None
        for hook in self.hooks:
            record = () if profile is None else (self._master.document(eid, profile),)
            yield hook, typed, (self.etype, typed, *record)


def make_groups(model: ModelSpec, store: State, registrations: Iterable[HookRegistration]) -> list[HookGroup]:
    """The groups of all periodic hooks."""
    found: dict[tuple[HookKind, str, timedelta], list[Hook]] = {}
    for one in registrations:
        if one.entity_type is not None and one.period is not None:
            found.setdefault((one.kind, one.entity_type, one.period), []).append(Hook.of(one))
    return [
        HookGroup(model, store, etype, kind, period, hooks) for (kind, etype, period), hooks in found.items()
    ]


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
        self._dead_letters = DeadLetterLimit()

    @property
    def size(self) -> int:
        """The number of entities that the next page shall have."""
        return self._size.entities

    def begin(self, tries: int = 0) -> None:
        """Begin a batch. `tries`: so many workers in a row have ended at this place; after some of them the
        pages have one entity each, so that what is done is done for good."""
        self._dead_letters = DeadLetterLimit()
        self._size = self._usual if tries < CAREFUL_TRIES else PageSize(most=1)

    def read(self, function: Callable[..., T], *arguments: Any) -> Waiting[T]:
        """Read beside the worker's thread."""
        return result_of(self._io.submit(function, *arguments))

    def call(self, group: HookGroup, page: Sequence[Subject]) -> Waiting[Effects]:
        """Call all hooks for the entities of a page."""
        effects, started = Effects(), time.perf_counter()
        with self._caller.attempts.under_way():
            yield from self._pool.spread(page, partial(group.visit, caller=self._caller), effects)
        self._size.learn(page, time.perf_counter() - started, len(effects.tasks))
        return effects

    def commit(self, batch: UpdateBatch, effects: Effects) -> Work:
        """Commit how far the visits are with what hooks did."""
        batch.tasks = [encode_tasks(part) for part in batched(effects.tasks, MOST_TASKS)]
        batch.dead_letters = self._dead_letters.kept(effects.dead_letters)
        if effects.errors:
            batch.counters["module_error"] = effects.errors
        batch.hooks = effects.hooks.rows()
        yield partial(self._state.updates.write, self._lease, batch)
