"""Calls the hooks of single tasks; knows nothing of batches and threads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dp3.clock import Clock
from dp3.engine.ingest.reader import Item
from dp3.engine.statistics import HookTally
from dp3.hooks.guard import Guard
from dp3.hooks.outcome import HookError, HookOutcome, hook_failed
from dp3.hooks.table import Hook, HookTable
from dp3.model.attrspec import AttrType, point_from_wire
from dp3.model.datapoint import DataPointBase
from dp3.model.entityspec import AnyEidT
from dp3.model.spec import ModelSpec
from dp3.model.task import task_from_wire, task_to_wire
from dp3.model.wire import WirePoint, WireTask, encode_tasks
from dp3.store.ports.dead_letters import DeadLetter


@dataclass(slots=True)
class Outcome:
    """The outcome of all hooks of one task: whether an allow hook refused it, derived tasks, and what failed.
    `unreadable` says why the task could not be shown to them; a `deadly` one must not be."""

    refused: bool = False
    unreadable: str = ""
    deadly: bool = False
    tasks: list[WireTask] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    errors: int = 0
    hooks: HookTally = field(default_factory=HookTally)


class TaskHooks:
    """Calls hooks for tasks. Values that hooks change in a task are seen by later hooks, never stored, and
    never decide which hooks are called for which entity."""

    def __init__(
        self, table: HookTable, guard: Guard, model: ModelSpec, generations: int, clock: Clock
    ) -> None:
        self._task_start = table["task"][()]
        self._allow = table["allow_entity_creation"]
        self._creation = table["on_entity_creation"]
        self._new_attr = table["on_new_attr"]
        self._guard = guard
        self._model = model
        self._generations = generations
        self._clock = clock

    def run(self, item: Item, exists: bool) -> tuple[Outcome, bool]:
        """Call all hooks for one task, in the documented order; returns also whether the entity exists
        then."""
        outcome, etype = Outcome(), item.task.etype
        try:
            task = task_from_wire(item.task, self._model)
        except ValueError as error:
            outcome.unreadable = _does_not_fit(error)
            return outcome, exists
        eid = task.eid
        for hook in self._task_start:
            self._call(hook, item, outcome, eid, (task,))
        if item.task.delete:
            return outcome, False
        if not exists:
            for hook in self._allow[etype]:
                if not self._call(hook, item, outcome, eid, (eid, task)).allowed:
                    outcome.refused = True
                    return outcome, False
            for hook in self._creation[etype]:
                self._call(hook, item, outcome, eid, (eid, task))
        for index, wire_point in enumerate(item.task.points):
            if hooks := self._new_attr[etype, wire_point.attr]:
                point = self._point(etype, eid, wire_point)
                for hook in hooks if point is not None else ():
                    self._call(hook, item, outcome, eid, (eid, point), {"index": index})
        return outcome, True

    def _point(self, etype: str, eid: AnyEidT, wire_point: WirePoint) -> DataPointBase | None:
        """The typed data-point, or None if it was accepted for an attribute that is gone or another now."""
        spec = self._model.attributes.get((etype, wire_point.attr))
        if spec is None or (spec.t is AttrType.PLAIN) != (wire_point.t1 is None):
            return None
        return point_from_wire(spec, etype, eid, wire_point)

    def call_again(self, hook: Hook, item: Item, context: Mapping[str, Any]) -> Outcome:
        """Call one hook that failed on a task before, with what its kind takes. The decision of an allow hook
        changes nothing any more: the task was applied, because a hook that fails allows."""
        outcome, takes = Outcome(), hook.spec.takes or ()
        try:
            task = task_from_wire(item.task, self._model)
        except (ValueError, KeyError) as error:
            outcome.unreadable = _does_not_fit(error)
            return outcome
        arguments: dict[str, object] = {"eid": task.eid, "task": task}
        place = {}
        if "dp" in takes:
            place = {"index": context.get("index", 0)}
            arguments["dp"] = self._point(task.etype, task.eid, item.task.points[place["index"]])
            if arguments["dp"] is None:
                outcome.unreadable = "the attribute is gone or of another type now"
                return outcome
        self._call(hook, item, outcome, task.eid, [arguments[name] for name in takes], place)
        return outcome

    def _call(
        self,
        hook: Hook,
        item: Item,
        outcome: Outcome,
        eid: AnyEidT,
        arguments: Sequence[object],
        place: Mapping[str, int] | None = None,
    ) -> HookOutcome:
        """Call a hook and keep what it returns; `place` tells, in a dead letter, for which part of the
        task."""
        called = self._guard.run(hook, (item.task.etype, eid), *arguments)
        errors, tasks = outcome.errors, len(outcome.tasks)
        if called.error is not None:
            self._fail(hook, item, outcome, place, called.error)
        if called.tasks:
            self._keep(called, hook, item, outcome, place)
        outcome.hooks.count(hook, called, outcome.errors > errors, len(outcome.tasks) - tasks)
        return called

    def _keep(
        self,
        called: HookOutcome,
        hook: Hook,
        item: Item,
        outcome: Outcome,
        place: Mapping[str, int] | None,
    ) -> None:
        """Keep all tasks of a call or, when one of them is unusable, none."""
        generation, limit = item.task.generation + 1, self._generations
        try:
            derived = [task_to_wire(task, generation, self._guard.max_value) for task in called.tasks]
        except Exception as error:  # a task is mutable: whatever the hook made of it, it is the hook's
            self._fail(hook, item, outcome, place, hook_failed(error))
            return
        if generation <= limit:
            outcome.tasks.extend(derived)
            return
        self._guard.report(hook, (item.task.etype, item.task.eid), _too_deep(limit))
        for task in derived:
            dead_letter = self._dead_letter("generation", hook, item, task, _too_deep(limit))
            outcome.dead_letters.append(dead_letter)

    def _fail(
        self,
        hook: Hook,
        item: Item,
        outcome: Outcome,
        place: Mapping[str, int] | None,
        error: HookError,
    ) -> None:
        outcome.errors += 1
        self._guard.report(hook, (item.task.etype, item.task.eid), error)
        dead_letter = self._dead_letter(error.kind, hook, item, item.task, error)
        dead_letter.context.update(
            {"kind": hook.kind, "lane": int(item.entry.lane), "offset": item.entry.offset, **(place or {})}
        )
        outcome.dead_letters.append(dead_letter)

    def _dead_letter(self, kind: str, hook: Hook, item: Item, task: WireTask, error: HookError) -> DeadLetter:
        return DeadLetter(
            time=self._clock.now_us(),
            kind=kind,
            module=hook.module,
            hook=hook.name,
            partition=item.partition,
            etype=task.etype,
            eid=str(task.eid),
            reason=error.reason,
            traceback=error.traceback,
            task=encode_tasks([task]),
            context={},
        )


def _too_deep(limit: int) -> HookError:
    reason = f"derived from derived tasks more than {limit} times in a row; do hooks trigger each other?"
    return HookError("result", reason)


def _does_not_fit(error: Exception) -> str:
    return f"does not fit the model any more: {type(error).__name__}: {error}"
