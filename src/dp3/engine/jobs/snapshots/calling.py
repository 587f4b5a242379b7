"""Calls snapshot hooks: what they return becomes tasks in wire form, what fails dead letters."""

from typing import Any

from dp3.clock import Clock
from dp3.engine.jobs.snapshots.recording import Effects
from dp3.hooks.guard import Guard
from dp3.hooks.outcome import HookError, HookOutcome, hook_failed
from dp3.hooks.table import Hook
from dp3.hooks.watch import Entity
from dp3.model.partition import partition_of
from dp3.model.task import task_to_wire
from dp3.model.wire import WirePoint, WireTask, encode_tasks
from dp3.store.ports.dead_letters import DeadLetter

GENERATION = 1
"""Tasks of snapshot hooks are derived from nothing that was itself derived."""


class HookCaller:
    """May be used by several threads at once."""

    def __init__(self, guard: Guard, clock: Clock, partitions: int) -> None:
        self._guard = guard
        self._clock = clock
        self._partitions = partitions

    def call(
        self,
        hook: Hook,
        entity: Entity,
        eid: int | str,
        effects: Effects,
        *args: Any,
        point: WirePoint | None = None,
    ) -> list[WireTask]:
        """Call a hook; `eid` is the wire id of the entity that it runs for, `point` the data-point that it is
        shown, if any. Returns its tasks, which are also added to `effects`, with what failed."""
        called = self._guard.run(hook, entity, *args)
        tasks, error = _wire_tasks(called)
        effects.hooks.count(hook, called, error is not None, len(tasks))
        if error is not None:
            self.fail(hook, entity[0], eid, effects, error, point)
        effects.tasks += tasks
        return tasks

    def fail(
        self,
        hook: Hook | None,
        etype: str,
        eid: int | str,
        effects: Effects,
        error: HookError,
        point: WirePoint | None = None,
    ) -> None:
        """Keep what failed; without `hook` it is not known which one is to blame. `point` is what it was
        shown."""
        effects.errors += 1
        effects.letters.append(
            DeadLetter(
                time=self._clock.now_us(),
                kind=error.kind,
                module="" if hook is None else hook.module,
                hook="" if hook is None else hook.name,
                partition=partition_of(etype, eid, self._partitions),
                etype=etype,
                eid=str(eid),
                reason=error.reason,
                traceback=error.traceback,
                task=encode_tasks([WireTask(etype, eid, [] if point is None else [point])]),
                context={"kind": "correlation" if hook is None else hook.kind},
            )
        )


def _wire_tasks(called: HookOutcome) -> tuple[list[WireTask], HookError | None]:
    """The tasks of a call, or why there are none."""
    try:
        return [task_to_wire(task, GENERATION) for task in called.tasks], called.error
    except Exception as error:  # a task is mutable: whatever the hook made of it, it is the hook's
        return [], hook_failed(error)
