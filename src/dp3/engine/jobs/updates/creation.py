"""Calls creation hooks again for entities that there are already, because a control message asks for it."""

import logging
from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec

from dp3.engine.context import Context
from dp3.engine.jobs.hook_effects import Effects
from dp3.engine.jobs.job import NEVER, Work
from dp3.engine.jobs.updates.cycle import Subject, first_key
from dp3.engine.jobs.updates.visits import CREATION, HookGroup, Visits
from dp3.hooks.registration import HookRegistration
from dp3.hooks.table import Hook, HookTable
from dp3.model.spec import ModelSpec
from dp3.store.ports.batches import Batch, Stream
from dp3.store.ports.control import ControlMessage, ControlProgress
from dp3.store.ports.updates import UpdateBatch

ACTION = "refresh_on_entity_creation"

FIRST_PLACE = -1
"""Below all keys of entities."""

logger = logging.getLogger(__name__)


class _Checkpoint(msgspec.Struct, frozen=True):
    """The progress of a message: the key of the last entity visited; `until` has the last key of each
    partition when it began, so that what hooks create does not count. `tries` workers in a row ended at this
    place."""

    after: int = FIRST_PLACE
    until: dict[int, int] = {}
    entities: int = 0
    tasks: int = 0
    failures: int = 0
    tries: int = 0

    def told(self) -> dict[str, Any]:
        """The part that the sender of the message sees."""
        return {"entities": self.entities, "tasks": self.tasks, "failures": self.failures}

    def stored(self) -> dict[str, Any]:
        """As it is kept."""
        return {**msgspec.structs.asdict(self), "until": {str(k): v for k, v in self.until.items()}}

    def passed(self, page: list[Subject], effects: Effects) -> "_Checkpoint":
        """After some more entities."""
        return msgspec.structs.replace(
            self,
            after=page[-1].key,
            entities=self.entities + len(page),
            tasks=self.tasks + len(effects.tasks),
            failures=self.failures + effects.errors,
            tries=0,
        )


class CreationRefresh:
    """The messages of one worker that ask for it, one after the other. A message stays in the state until all
    entities were visited, so another process goes on where one ended."""

    name = ACTION
    watches = False
    every = 1

    def __init__(
        self, context: Context, model: ModelSpec, registrations: Iterable[HookRegistration], visits: Visits
    ) -> None:
        self.wake_at = NEVER
        self._state = context.store
        self._lease = context.lease
        self._model = model
        self._hooks: Mapping[str, tuple[Hook, ...]] = HookTable(registrations)["on_entity_creation"]
        self._visits = visits
        self._messages: dict[int, ControlMessage] = {}
        self._resumes = True
        self._checkpoint = _Checkpoint()

    def request(self, message: ControlMessage) -> None:
        """Carry out a message at the next turn, unless that is being done."""
        if message.id not in self._messages:
            self._messages[message.id], self.wake_at = message, 0

    def begin(self, now: int, failures: int) -> Work | None:
        """See `Job.begin`."""
        self.wake_at = NEVER
        return self._all() if self._messages else None

    def _all(self) -> Work:
        while self._messages:
            message = self._messages[min(self._messages)]
            etype = message.args["etype"]
            result: dict[str, Any] = {"error": f"there is no entity type {etype!r}"}
            if etype in self._model.entities:
                hooks = self._hooks.get(etype, ())
                group = HookGroup(self._model, self._state, etype, CREATION, timedelta(), hooks)
                yield from self._refresh(group, message.id)
                result = self._checkpoint.told()
                logger.info("%s of %s is done: %s", ACTION, etype, result)
            yield partial(self._state.batches.commit, self._lease, Batch(control_done=[(message.id, result)]))
            del self._messages[message.id]

    def _refresh(self, group: HookGroup, message: int) -> Work:
        """Visit all entities that are left."""
        resumes, self._resumes = self._resumes, False
        stored = yield from self._visits.read(self._state.control.progress, [message])
        self._visits.begin()
        if not stored:
            yield from self._begin(group, message)
        else:
            self._checkpoint = msgspec.convert(stored[0].checkpoint, _Checkpoint, strict=False)
            if resumes:
                yield from self._begin_again(group, message)
        while group.hooks:
            page = yield from self._visits.read(self._page, group, self._visits.size)
            if not page:
                return
            effects = yield from self._visits.call(group, page)
            yield from self._write(group, message, self._checkpoint.passed(page, effects), effects)

    def _begin(self, group: HookGroup, message: int) -> Work:
        last = yield from self._visits.read(self._state.entities.last_keys)
        mine = self._lease
        until = {p: key for p, key in last.items() if mine.owns(p)}
        yield from self._write(group, message, _Checkpoint(until=until))

    def _begin_again(self, group: HookGroup, message: int) -> Work:
        """Go on where another process ended. If they end again and again at the same place, go on entity by
        entity."""
        tries = self._checkpoint.tries + 1
        yield from self._write(group, message, msgspec.structs.replace(self._checkpoint, tries=tries))
        self._visits.begin(tries)

    def _page(self, group: HookGroup, size: int) -> list[Subject]:
        """The next entities; none after the last one."""
        page = list[Subject]()
        for partition, last in sorted(self._checkpoint.until.items()):
            after, room = max(self._checkpoint.after, first_key(partition)), size - len(page)
            if room and after < last:
                found = self._state.entities.between(group.id.etype, after, last + 1, room)
                page += [Subject(key, eid) for key, eid in found]
        return page

    def _write(
        self, group: HookGroup, message: int, checkpoint: _Checkpoint, effects: Effects | None = None
    ) -> Work:
        """Commit how far the work is, with what hooks did."""
        self._checkpoint = checkpoint
        progress = ControlProgress(message, checkpoint.told(), checkpoint.stored())
        batch = UpdateBatch(group.id, Stream.CREATION, control=progress)
        return self._visits.commit(batch, effects or Effects())
