"""What other processes ask a worker to do: messages in the control table of the state."""

import itertools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dp3.engine.ingest.batch import Item, Outcome
from dp3.engine.ingest.hooks import TaskHooks
from dp3.hooks.kinds import HookKind
from dp3.hooks.table import Hook, HookTable
from dp3.log.port import Entry, Lane
from dp3.model.wire import WireTask, decode_tasks, encode_tasks
from dp3.store.ports.batches import Batch, OutboxRow
from dp3.store.ports.control import ControlMessage
from dp3.store.ports.dead_letters import DeadLetter
from dp3.store.ports.runs import Run
from dp3.store.ports.state import State

SNAPSHOT_KINDS: frozenset[HookKind] = frozenset(
    ("timeseries", "correlation", "correlation_with_master_record", "snapshot_init", "snapshot_finalize")
)
"""Hooks that no task leads to."""

_RUNS_AGAIN: dict[str, str] = {
    **dict.fromkeys(SNAPSHOT_KINDS, "in every snapshot run"),
    "periodic_update": "in its next period",
    "periodic_eid_update": "in its next period",
}

CONTROL_STREAM = 2
"""The outbox stream of tasks that control messages lead to; its keys are the ids of the messages."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Work:
    """What one message leads to."""

    batch: Batch = field(default_factory=Batch)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    tasks: dict[int, list[WireTask]] = field(default_factory=dict)


class ControlHandler:
    """Carries out the messages for one worker, one at a time. The job of control messages calls it."""

    def __init__(
        self,
        store: State,
        hooks: HookTable,
        task_hooks: TaskHooks,
        begin_run: Callable[[], Run | None],
        refresh_config: Callable[[str], dict[str, Any]],
    ) -> None:
        self._store = store
        self._hooks = hooks
        self._task_hooks = task_hooks
        self._begin_run = begin_run
        self._refresh_config = refresh_config

    def give_up(self, message: ControlMessage, reason: str) -> Batch:
        """The change that leaves a message undone and says why; dead letters stay as they are."""
        return Batch(control_done=[(message.id, {"error": reason})])

    def carry_out(self, message: ControlMessage) -> Batch:
        """Do what a message asks for; returns what it changes, to be committed."""
        work = _Work()
        if message.action == "deadletters":
            self._dead_letters(message, work)
            result: dict[str, Any] = {"results": work.results}
        elif message.action == "make_snapshots":
            result = self._make_snapshots()
        elif message.action == "refresh_module_config":
            result = self._refresh_config(message.args["module"])
        else:
            logger.warning("control message %d asks for unknown action %r", message.id, message.action)
            result = {"error": f"unknown action {message.action!r}"}
        work.batch.control_done.append((message.id, result))
        work.batch.outbox.extend(
            OutboxRow(partition, CONTROL_STREAM, message.id, 0, encode_tasks(tasks))
            for partition, tasks in work.tasks.items()
            if tasks
        )
        return work.batch

    def _make_snapshots(self) -> dict[str, Any]:
        run = self._begin_run()
        return {"error": "a snapshot run is under way"} if run is None else {"run": run.id}

    def _dead_letters(self, message: ControlMessage, work: _Work) -> None:
        for letter_id in message.args["ids"]:
            stored = self._store.dead_letters.get(letter_id)
            if stored is None:
                work.results[str(letter_id)] = {"done": False, "reason": "no such dead letter"}
            elif message.args["op"] == "drop":
                work.batch.dead_letters_removed.append(letter_id)
                work.results[str(letter_id)] = {"done": True}
            else:
                work.results[str(letter_id)] = self._retry(letter_id, stored.letter, work)

    def _retry(self, letter_id: int, letter: DeadLetter, work: _Work) -> dict[str, Any]:
        """Try again what failed. The letter goes if it works now."""
        if again := _RUNS_AGAIN.get(letter.context.get("kind", "")):
            return {"done": False, "reason": f"the hook runs again {again}; drop the dead letter"}
        if letter.context.get("outdated"):
            return {"done": False, "reason": f"{letter.reason}; send it again as it is to be now"}
        if not letter.task:
            return {"done": False, "reason": "there is no task to try again: its bytes can not be decoded"}
        (task,) = decode_tasks(letter.task)
        tasks = work.tasks.setdefault(letter.partition, [])
        if letter.kind in ("hook", "result"):
            hook = self._find_hook(letter)
            if hook is None:
                return {"done": False, "reason": f"no hook {letter.module}.{letter.hook} is registered now"}
            outcome = self._call(hook, letter, task)
            work.batch.hooks += outcome.hooks.rows()
            if outcome.unreadable:
                return {"done": False, "reason": outcome.unreadable}
            if outcome.errors:
                return {"done": False, "reason": outcome.letters[0].reason}
            tasks.extend(outcome.tasks)
            work.batch.dead_letters.extend(outcome.letters)
        else:
            task.generation = 0
            tasks.append(task)
        work.batch.dead_letters_removed.append(letter_id)
        return {"done": True}

    def _find_hook(self, letter: DeadLetter) -> Hook | None:
        wanted = (letter.module, letter.hook, letter.context.get("kind"))
        places = (self._hooks.allow, self._hooks.creation, self._hooks.new_attr)
        candidates = itertools.chain(self._hooks.task_start, *itertools.chain(*(p.values() for p in places)))
        return next((hook for hook in candidates if (hook.module, hook.name, hook.kind) == wanted), None)

    def _call(self, hook: Hook, letter: DeadLetter, task: WireTask) -> Outcome:
        """What failed when it was refreshed in a snapshot run stands nowhere in the log."""
        context: Mapping[str, Any] = letter.context
        entry = Entry(Lane(context.get("lane", Lane.MAIN)), context.get("offset", 0), 0, {})
        return self._task_hooks.call_again(hook, Item(entry, letter.partition, task), context)
