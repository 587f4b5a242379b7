"""Calls creation hooks again for entities that there are already, because a control message asks for it."""

import logging
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

import msgspec

from dp3.engine.jobs.hook_effects import Effects
from dp3.engine.jobs.thread_pool import HookThreads
from dp3.engine.jobs.updates.batch import CAREFUL_TRIES, UpdateParts
from dp3.engine.jobs.updates.cycle import first_key
from dp3.engine.jobs.updates.groups import HookGroup, creation_group
from dp3.engine.jobs.updates.paging import PageSize
from dp3.engine.jobs.updates.reading import Page, Subject
from dp3.engine.jobs.updates.slices import RETRY_US, Slices
from dp3.engine.jobs.waiting import Wait, finished
from dp3.hooks.outcome import HookError, hook_failed
from dp3.hooks.pool import DaemonPool
from dp3.hooks.registration import HookRegistration
from dp3.hooks.table import Hook, HookTable
from dp3.model.spec import ModelSpec
from dp3.model.task import task_from_wire
from dp3.model.wire import WireTask
from dp3.store.ports.batches import Stream
from dp3.store.ports.control import ControlMessage, ControlProgress
from dp3.store.ports.updates import UpdateBatch

ACTION = "refresh_on_entity_creation"

"""The outbox stream of tasks that creation hooks return when they are called again."""

FIRST_PLACE = -1
"""Below all keys of entities."""

T = TypeVar("T")

logger = logging.getLogger(__name__)


class _Mark(msgspec.Struct, frozen=True):
    """How far a message is: the key of the last entity visited; `until` has the last key of each partition
    when it began, so that what hooks create does not count. `tries` workers in a row ended at this place."""

    after: int = FIRST_PLACE
    until: dict[int, int] = {}
    entities: int = 0
    tasks: int = 0
    failures: int = 0
    tries: int = 0

    def shown(self) -> dict[str, Any]:
        """What the sender of the message sees of it."""
        return {"entities": self.entities, "tasks": self.tasks, "failures": self.failures}

    def stored(self) -> dict[str, Any]:
        """As it is kept."""
        return {**msgspec.structs.asdict(self), "until": {str(k): v for k, v in self.until.items()}}

    def passed(self, page: Page, effects: Effects) -> "_Mark":
        """After some more entities."""
        return msgspec.structs.replace(
            self,
            after=page.subjects[-1].key,
            entities=self.entities + len(page.subjects),
            tasks=self.tasks + len(effects.tasks),
            failures=self.failures + effects.errors,
            tries=0,
        )


class CreationRefresh:
    """The messages of one worker that ask for it, one after the other."""

    def __init__(
        self, parts: UpdateParts, model: ModelSpec, registrations: Iterable[HookRegistration]
    ) -> None:
        self._parts = parts
        self._model = model
        self._hooks: Mapping[str, tuple[Hook, ...]] = HookTable(registrations)["on_entity_creation"]
        self._crew = HookThreads(DaemonPool(parts.threads, "refresh"), parts.threads)
        self._seen: int | None = None
        self._not_before = 0
        self._resumes = True

    def __str__(self) -> str:
        return ACTION

    def next(self) -> Wait | None:
        """The work that the oldest message asks for, None if there is none. Ask again if the work fails."""
        state, now = self._parts.state, self._parts.clock.now_us()
        version = state.changes.version()
        if version == self._seen or now < self._not_before:
            return None
        messages = state.control.pending(self._parts.lease.index)
        message = next((one for one in messages if one.action == ACTION), None)
        if message is None:
            self._seen = version
            return None
        self._not_before = now + RETRY_US
        return self._steps(message)

    def _steps(self, message: ControlMessage) -> Wait:
        resumes, self._resumes = self._resumes, False
        etype = message.args["etype"]
        if etype in self._model.entities:
            group = creation_group(self._model, self._parts.state, etype, self._hooks.get(etype, ()))
            yield from _Refresh(self._parts, self._crew, self._model, group, message).steps(resumes)
        else:
            slices = Slices(self._parts.state, self._parts.clock, self._parts.lease)
            yield from slices.finish(message.id, {"error": f"there is no entity type {etype!r}"})
        self._not_before = 0


class _Refresh:
    """What one message asks for."""

    def __init__(
        self,
        parts: UpdateParts,
        crew: HookThreads,
        model: ModelSpec,
        group: HookGroup,
        message: ControlMessage,
    ) -> None:
        self._parts = parts
        self._crew = crew
        self._model = model
        self._group = group
        self._message = message.id
        self._slices = Slices(parts.state, parts.clock, parts.lease)
        self._size = PageSize()
        self._mark = _Mark()

    def steps(self, resumes: bool) -> Wait:
        """Visit all entities that are left. `resumes`: the first message since the process began."""
        stored = yield from self._read(self._parts.state.control.progress, [self._message])
        if stored:
            self._mark = msgspec.convert(stored[0].checkpoint, _Mark, strict=False)
            if resumes:
                yield from self._begin_again()
        else:
            yield from self._begin()
        if self._group.hooks:
            yield from self._visit()
        result = self._mark.shown()
        logger.info("%s of %s is done: %s", ACTION, self._group.etype, result)
        yield from self._slices.finish(self._message, result)

    def _begin(self) -> Wait:
        last = yield from self._read(self._parts.state.entities.last_keys)
        mine = self._parts.lease
        until = {p: key for p, key in last.items() if mine.owns(p)}
        yield from self._write(msgspec.structs.replace(self._mark, until=until))

    def _begin_again(self) -> Wait:
        """Go on where another process ended. If they end again and again at the same place, go on entity by
        entity; then the one at which it happens is known, and left out."""
        tries = self._mark.tries + 1
        yield from self._write(msgspec.structs.replace(self._mark, tries=tries))
        if tries >= CAREFUL_TRIES:
            self._size = PageSize(most=1)
        if tries > CAREFUL_TRIES:
            yield from self._leave_out()

    def _leave_out(self) -> Wait:
        """Set aside the next entity."""
        effects = Effects()
        page = yield from self._read(self._page, 1)
        for subject in page.subjects:
            error = HookError("hook", "a hook ended the worker process repeatedly")
            eid = self._group.values.eid(subject.eid)
            self._parts.caller.fail(self._group.hooks[0], self._group.etype, eid, effects, error)
            logger.error("%s: %s is left out: its hooks ended the worker repeatedly", ACTION, subject.eid)
            yield from self._write(self._mark.passed(page, effects), effects)

    def _read(self, function: Callable[..., T], *arguments: Any) -> Generator[Future[Any] | None, None, T]:
        reading = self._parts.io.submit(function, *arguments)
        yield from finished(reading)
        return reading.result()

    def _page(self, size: int) -> Page:
        """The next entities; none after the last one."""
        page, etype = Page(), self._group.id.etype
        for partition, last in sorted(self._mark.until.items()):
            after, room = max(self._mark.after, first_key(partition)), size - len(page.subjects)
            if room and after < last:
                found = self._parts.state.entities.between(etype, after, last + 1, room)
                page.subjects += [Subject(key, eid) for key, eid in found]
        return page

    def _visit(self) -> Wait:
        while (page := (yield from self._read(self._page, self._size.entities))).subjects:
            effects, started = Effects(), time.perf_counter()
            yield from self._crew.spread(page.subjects, self._call, effects)
            self._size.learn(page, time.perf_counter() - started, len(effects.tasks))
            yield from self._write(self._mark.passed(page, effects), effects)

    def _call(self, subject: Subject) -> Effects:
        """Call all hooks of an entity, with an empty task. Runs in a thread of the crew."""
        effects, group, caller = Effects(), self._group, self._parts.caller
        eid = group.values.eid(subject.eid)
        try:
            task = task_from_wire(WireTask(group.etype, eid, []), self._model)
            for hook in group.hooks:
                caller.call(hook, (group.etype, task.eid), eid, effects, task.eid, task)
        except Exception as error:  # what is stored does not fit the model any more
            caller.fail(group.hooks[0], group.etype, eid, effects, hook_failed(error))
        return effects

    def _write(self, mark: _Mark, effects: Effects | None = None) -> Wait:
        """Commit how far the work is, with what hooks did."""
        self._mark = mark
        progress = ControlProgress(self._message, mark.shown(), mark.stored())
        batch = UpdateBatch(self._group.id, Stream.CREATION, control=progress)
        return self._slices.commit(batch, effects or Effects())
