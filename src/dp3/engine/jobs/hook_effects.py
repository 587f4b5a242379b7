"""Calls hooks of background work: what they return becomes tasks in wire form, what fails dead letters."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dp3.clock import Clock
from dp3.engine.call_attempts import DEADLY, CallAttempts
from dp3.engine.statistics import HookTally
from dp3.hooks.guard import Guard
from dp3.hooks.outcome import HookError, HookOutcome, hook_failed
from dp3.hooks.table import Hook
from dp3.hooks.watch import Entity
from dp3.model.partition import partition_of
from dp3.model.task import task_to_wire
from dp3.model.wire import WirePoint, WireTask, encode_tasks
from dp3.store.ports.dead_letters import DeadLetter

GENERATION = 1
"""Tasks of these hooks are derived from nothing that was itself derived."""

MOST_DEAD_LETTERS = 100
"""Dead letters of one hook that one worker keeps of one piece of work, such as a snapshot run; more are only
counted, so that a hook that fails for very many entities does not fill them."""


@dataclass(slots=True)
class Effects:
    """Derived tasks of hooks, what failed, and counts. They are committed with the work itself."""

    tasks: list[WireTask] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    errors: int = 0
    hooks: HookTally = field(default_factory=HookTally)

    def add(self, other: "Effects") -> None:
        """Add those of others."""
        self.hooks.add(other.hooks)
        self.tasks += other.tasks
        self.dead_letters += other.dead_letters
        self.errors += other.errors


class DeadLetterLimit:
    """Bounds the dead letters of each hook."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def kept(self, dead_letters: Iterable[DeadLetter]) -> list[DeadLetter]:
        """The dead letters to be kept."""
        kept = []
        for one in dead_letters:
            self._counts[one.module, one.hook] += 1
            if self._counts[one.module, one.hook] <= MOST_DEAD_LETTERS:
                kept.append(one)
        return kept


class HookCaller:
    """Calls hooks. May be used by several threads at once. Values that they make have at most `max_value`
    bytes of JSON. `attempts` notes what is called; who calls hooks says so by `attempts.under_way()`."""

    def __init__(self, guard: Guard, clock: Clock, partitions: int, attempts: CallAttempts) -> None:
        self._guard = guard
        self.attempts = attempts
        self.max_value = guard.max_value
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
        if self.attempts.suspects_any:
            called = self._call_alone(hook, entity, *args)
        else:
            called = self._guard.run(hook, entity, *args)
        tasks, error = _wire_tasks(called, self.max_value)
        effects.hooks.count(hook, called, error is not None, len(tasks))
        if error is not None:
            self.fail(hook, entity[0], eid, effects, error, point)
        effects.tasks += tasks
        return tasks

    def _call_alone(self, hook: Hook, entity: Entity, *args: Any) -> HookOutcome:
        with self.attempts.alone():
            if not self.attempts.begin(f"{hook.kind} {hook.module}.{hook.name} {entity[0]}/{entity[1]}"):
                return HookOutcome((), HookError("hook", DEADLY), 0)
            called = self._guard.run(hook, entity, *args)
            self.attempts.end()
            return called

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
        self._guard.report(hook, (etype, eid), error)
        effects.dead_letters.append(
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


def _wire_tasks(called: HookOutcome, max_value: int) -> tuple[list[WireTask], HookError | None]:
    """The tasks of a call, or why there are none."""
    if not called.tasks:
        return [], called.error
    try:
        return [task_to_wire(task, GENERATION, max_value) for task in called.tasks], called.error
    except Exception as error:  # a task is mutable: whatever the hook made of it, it is the hook's
        return [], hook_failed(error)
