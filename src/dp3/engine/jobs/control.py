"""Carries out messages of other processes to a worker, which are in the control table of the state: at once,
or by asking another job for what takes long."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dp3.engine.context import Context
from dp3.engine.ingest.attempts import Attempts
from dp3.engine.ingest.hooks import Outcome, TaskHooks
from dp3.engine.ingest.reader import Item
from dp3.engine.jobs.job import NEVER, Work
from dp3.engine.jobs.updates.creation import ACTION as CREATION_ACTION
from dp3.engine.jobs.updates.creation import CreationRefresh
from dp3.hooks.kinds import HOOK_SPECS, RUNS_AGAIN
from dp3.hooks.table import Hook, HookTable
from dp3.log.port import Entry, Lane
from dp3.model.wire import WireTask, decode_tasks, encode_tasks
from dp3.store.ports.batches import Batch, OutboxRow, Stream
from dp3.store.ports.control import ControlMessage
from dp3.store.ports.dead_letters import DeadLetter
from dp3.store.ports.runs import Run
from dp3.store.ports.state import State

MOST_FAILURES = 3
"""After so many in a row a message is given up."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Work:
    """Everything that one message leads to."""

    batch: Batch = field(default_factory=Batch)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    tasks: dict[int, list[WireTask]] = field(default_factory=dict)


class ControlHandler:
    """Carries out the messages for one worker, one at a time. `ControlMessages` calls it."""

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
            OutboxRow(partition, Stream.CONTROL, message.id, 0, encode_tasks(tasks))
            for partition, tasks in work.tasks.items()
            if tasks
        )
        return work.batch

    def _make_snapshots(self) -> dict[str, Any]:
        run = self._begin_run()
        return {"error": "a snapshot run is under way"} if run is None else {"run": run.id}

    def _dead_letters(self, message: ControlMessage, work: _Work) -> None:
        for number in message.args["ids"]:
            dead_letter = self._store.dead_letters.get(number)
            if dead_letter is None:
                work.results[str(number)] = {"done": False, "reason": "no such dead letter"}
            elif message.args["op"] == "drop":
                work.batch.dead_letters_removed.append(number)
                work.results[str(number)] = {"done": True}
            else:
                work.results[str(number)] = self._retry(number, dead_letter, work)

    def _retry(self, number: int, dead_letter: DeadLetter, work: _Work) -> dict[str, Any]:
        """Try again what failed. The dead letter goes if it works now."""
        spec = HOOK_SPECS.get(dead_letter.context.get("kind", ""))
        if spec is not None and (again := RUNS_AGAIN.get(spec.stage)):
            return {"done": False, "reason": f"the hook runs again {again}; drop the dead letter"}
        if dead_letter.context.get("outdated"):
            return {"done": False, "reason": f"{dead_letter.reason}; send it again as it is to be now"}
        if not dead_letter.task:
            return {"done": False, "reason": "there is no task to try again: its bytes can not be decoded"}
        (task,) = decode_tasks(dead_letter.task)
        tasks = work.tasks.setdefault(dead_letter.partition, [])
        if dead_letter.kind in ("hook", "result"):
            hook = self._hooks.find(dead_letter.module, dead_letter.hook, dead_letter.context.get("kind", ""))
            if hook is None:
                return {
                    "done": False,
                    "reason": f"no hook {dead_letter.module}.{dead_letter.hook} is registered now",
                }
            outcome = self._call(hook, dead_letter, task)
            work.batch.hooks += outcome.hooks.rows()
            if outcome.unreadable:
                return {"done": False, "reason": outcome.unreadable}
            if outcome.errors:
                return {"done": False, "reason": outcome.dead_letters[0].reason}
            tasks.extend(outcome.tasks)
            work.batch.dead_letters.extend(outcome.dead_letters)
        else:
            task.generation = 0
            tasks.append(task)
        work.batch.dead_letters_removed.append(number)
        return {"done": True}

    def _call(self, hook: Hook, dead_letter: DeadLetter, task: WireTask) -> Outcome:
        """A hook that failed when it was refreshed in a snapshot run has no entry in the log."""
        context: Mapping[str, Any] = dead_letter.context
        entry = Entry(Lane(context.get("lane", Lane.MAIN)), context.get("offset", 0), 0, 0, {})
        return self._task_hooks.call_again(hook, Item(entry, dead_letter.partition, task), context)


class ControlMessages:
    """The messages for one worker, the oldest first. `flush` is called before hooks may run: it waits for
    what is being written."""

    name = "control messages"
    wake_at = NEVER
    watches = True
    every = 1

    def __init__(
        self,
        context: Context,
        handler: ControlHandler,
        attempts: Attempts,
        creation: CreationRefresh,
        flush: Callable[[], None],
    ) -> None:
        self._state = context.store
        self._lease = context.lease
        self._handler = handler
        self._attempts = attempts
        self._creation = creation
        self._flush = flush

    def begin(self, now: int, failures: int) -> Work | None:
        """See `Job.begin`."""
        short = []
        for message in self._state.control.pending(self._lease.index):
            if message.action == CREATION_ACTION:
                self._creation.request(message)
            else:
                short.append(message)
        return self._carry_out(short, failures) if short else None

    def _carry_out(self, messages: Sequence[ControlMessage], failures: int) -> Work:
        for message in messages:
            self._flush()
            if failures >= MOST_FAILURES:
                batch = self._handler.give_up(message, "it failed repeatedly, see the log of the worker")
            elif self._attempts.begin(Stream.CONTROL, message.id, message.id):
                batch = self._handler.carry_out(message)
            else:
                logger.error("control message %d given up: it ended the worker repeatedly", message.id)
                batch = self._handler.give_up(message, "it ended the worker process repeatedly")
            failures = 0
            yield partial(self._state.batches.commit, self._lease, batch)
