"""Runs the ingestion hooks of single tasks; knows nothing of batches and threads."""

from collections.abc import Mapping
from typing import Any

from dp3.clock import Clock
from dp3.engine.ingest.batch import Item, Outcome
from dp3.hooks.guard import Guard
from dp3.hooks.outcome import HookError, HookOutcome, hook_failed
from dp3.hooks.table import Hook, HookTable
from dp3.model.attrspec import AttrType, point_from_wire
from dp3.model.datapoint import DataPointBase
from dp3.model.entityspec import AnyEidT
from dp3.model.spec import ModelSpec
from dp3.model.task import DataPointTask, task_from_wire, task_to_wire
from dp3.model.wire import WirePoint, WireTask, encode_tasks
from dp3.store.ports.dead_letters import DeadLetter


class TaskHooks:
    """What hooks make of a task. Values that hooks change in a task are seen by later hooks, never stored,
    and never decide which hooks are called for which entity."""

    def __init__(
        self, table: HookTable, guard: Guard, model: ModelSpec, generations: int, clock: Clock
    ) -> None:
        self._table = table
        self._guard = guard
        self._model = model
        self._generations = generations
        self._clock = clock

    def run(self, item: Item, exists: bool) -> tuple[Outcome, bool]:
        """All hooks of one task, in the documented order; returns also whether the entity exists then."""
        try:
            task = task_from_wire(item.task, self._model)
        except ValueError as error:
            return Outcome(unreadable=_does_not_fit(error)), exists
        return self._run(task, item, exists)

    def _run(self, task: DataPointTask, item: Item, exists: bool) -> tuple[Outcome, bool]:
        table, outcome = self._table, Outcome()
        eid, etype = task.eid, item.task.etype
        for hook in table.task_start:
            self._notify(hook, item, outcome, eid, task)
        if item.task.delete:
            return outcome, False
        if not exists:
            if not self._allowed(item, outcome, eid, task):
                outcome.refused = True
                return outcome, False
            for hook in table.creation.get(etype, ()):
                self._call(hook, item, outcome, {}, eid, task)
        self._run_new_attr(item, outcome, eid)
        return outcome, True

    def _allowed(self, item: Item, outcome: Outcome, eid: AnyEidT, task: DataPointTask) -> bool:
        hooks = self._table.allow.get(item.task.etype, ())
        return all(self._allows(hook, item, outcome, eid, task) for hook in hooks)

    def _allows(self, hook: Hook, item: Item, outcome: Outcome, eid: AnyEidT, task: DataPointTask) -> bool:
        decision = self._guard.allows(hook, (item.task.etype, eid), eid, task)
        outcome.hooks.count(hook, decision, failed=decision.error is not None)
        if decision.error is not None:
            self._fail(hook, item, outcome, {}, decision.error)
        return decision.allowed

    def _run_new_attr(self, item: Item, outcome: Outcome, eid: AnyEidT) -> None:
        new_attr, etype = self._table.new_attr, item.task.etype
        for index, wire_point in enumerate(item.task.points):
            if hooks := new_attr[etype, wire_point.attr]:
                point = self._point(etype, eid, wire_point)
                for hook in hooks if point is not None else ():
                    self._call(hook, item, outcome, {"index": index}, eid, point)

    def _point(self, etype: str, eid: AnyEidT, wire_point: WirePoint) -> DataPointBase | None:
        """The typed data-point, or None if it was accepted for an attribute that is gone or another now."""
        spec = self._model.attributes.get((etype, wire_point.attr))
        if spec is None or (spec.t is AttrType.PLAIN) != (wire_point.t1 is None):
            return None
        return point_from_wire(spec, etype, eid, wire_point)

    def call_again(self, hook: Hook, item: Item, context: Mapping[str, Any]) -> Outcome:
        """Call one hook that failed on a task before. The decision of an allow hook changes nothing any more:
        the task was applied, because a hook that fails allows."""
        outcome = Outcome()
        try:
            task = task_from_wire(item.task, self._model)
        except (ValueError, KeyError) as error:
            return Outcome(unreadable=_does_not_fit(error))
        if hook.kind == "task":
            self._notify(hook, item, outcome, task.eid, task)
        elif hook.kind == "allow_entity_creation":
            self._allows(hook, item, outcome, task.eid, task)
        elif hook.kind == "on_new_attr":
            index = context.get("index", 0)
            point = self._point(task.etype, task.eid, item.task.points[index])
            if point is None:
                return Outcome(unreadable="the attribute is gone or of another type now")
            self._call(hook, item, outcome, {"index": index}, task.eid, point)
        else:
            self._call(hook, item, outcome, {}, task.eid, task)
        return outcome

    def _notify(self, hook: Hook, item: Item, outcome: Outcome, eid: AnyEidT, task: DataPointTask) -> None:
        called = self._guard.notify(hook, (item.task.etype, eid), task)
        outcome.hooks.count(hook, called, failed=called.error is not None)
        if called.error is not None:
            self._fail(hook, item, outcome, {}, called.error)

    def _call(
        self,
        hook: Hook,
        item: Item,
        outcome: Outcome,
        context: dict[str, Any],
        eid: AnyEidT,
        argument: object,
    ) -> None:
        called = self._guard.run(hook, (item.task.etype, eid), eid, argument)
        errors, tasks = outcome.errors, len(outcome.tasks)
        if called.error is not None:
            self._fail(hook, item, outcome, context, called.error)
        if called.tasks:
            self._keep(called, hook, item, outcome, context)
        outcome.hooks.count(hook, called, outcome.errors > errors, len(outcome.tasks) - tasks)

    def _keep(
        self, called: HookOutcome, hook: Hook, item: Item, outcome: Outcome, context: dict[str, Any]
    ) -> None:
        """Keep all tasks of a call or, when one of them is unusable, none."""
        generation = item.task.generation + 1
        try:
            derived = [task_to_wire(task, generation) for task in called.tasks]
        except Exception as error:  # a task is mutable: whatever the hook made of it, it is the hook's
            self._fail(hook, item, outcome, context, hook_failed(error))
            return
        if generation <= self._generations:
            outcome.tasks.extend(derived)
            return
        why = self._too_deep()
        outcome.letters.extend(self._letter("generation", hook, item, task, {}, why) for task in derived)

    def _too_deep(self) -> HookError:
        limit = self._generations
        reason = f"derived from derived tasks more than {limit} times in a row; do hooks trigger each other?"
        return HookError("result", reason)

    def _fail(
        self, hook: Hook, item: Item, outcome: Outcome, context: dict[str, Any], error: HookError
    ) -> None:
        outcome.errors += 1
        context = {"kind": hook.kind, "lane": int(item.entry.lane), "offset": item.entry.offset, **context}
        outcome.letters.append(self._letter(error.kind, hook, item, item.task, context, error))

    def _letter(
        self,
        kind: str,
        hook: Hook,
        item: Item,
        task: WireTask,
        context: dict[str, Any],
        error: HookError,
    ) -> DeadLetter:
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
            context=context,
        )


def _does_not_fit(error: Exception) -> str:
    return f"does not fit the model any more: {type(error).__name__}: {error}"
