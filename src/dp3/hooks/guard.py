"""Calls hooks so that their failures stay theirs."""

import os
from collections.abc import Sequence
from threading import get_ident
from time import monotonic_ns
from typing import Any

from dp3.hooks.failures import FailureLog
from dp3.hooks.outcome import HookError, HookOutcome, tasks_of
from dp3.hooks.table import Hook
from dp3.hooks.watch import Entity, HookWatch
from dp3.model.task import DataPointTask

_FAILURES = BaseException
"""Failures of the hook: neither a library's `sys.exit()` nor a `CancelledError` that escapes from its event
loop may end the worker. Signals never raise here, the process has its own handlers."""


class Guard:
    """Runs hooks, one at a time in each thread, and registers them with `watch` while they run.

    `max_tasks` bounds the tasks of one call, `max_value` the bytes of JSON of one value that a hook makes:
    who takes the values checks it. `failures` tells the log of hooks that fail.
    """

    def __init__(
        self,
        watch: HookWatch,
        max_tasks: int = 10_000,
        max_value: int = 1 << 20,
        failures: FailureLog | None = None,
    ) -> None:
        self._watch = watch
        self._failures = failures or FailureLog()
        self._slots = watch.slots
        self._slow_ns = watch.timeout_ns
        self._max_tasks = max_tasks
        self.max_value = max_value
        self._process = os.getpid()

    def run(self, hook: Hook, entity: Entity, *args: Any) -> HookOutcome:
        """Call a hook; its kind says what its result is. `entity` is (entity type, eid), for reports only.

        When it raises, also in the middle of a generator, or when its result is not all tasks, nothing of it
        is kept, so that calling it again adds nothing twice. An allow hook that fails allows."""
        returns = hook.spec.returns
        tasks: Sequence[DataPointTask] = ()
        error = None
        allowed = True if returns == "decision" else None
        thread = get_ident()
        start = monotonic_ns()
        self._slots[thread] = (hook, entity, start)
        try:
            result = hook.call(*args)
            if returns == "tasks":
                if result is not None:
                    tasks, error = tasks_of(result, self._max_tasks)
            elif allowed:
                allowed = bool(result)
        except _FAILURES as raised:
            error = self._failures.hook_failed(raised)
        finally:
            duration_ns = self._end(thread, hook, entity, start)
        return HookOutcome(tasks, error, duration_ns, allowed)

    def report(self, hook: Hook | None, entity: Entity, error: HookError) -> None:
        """Tell the log of a failure. Called by those who keep it, also if they found it themselves."""
        self._failures.hook(hook, entity, error)

    def _end(self, thread: int, hook: Hook, entity: Entity, start: int) -> int:
        """Note that a hook has returned; returns how long (ns) it took. One that forked also returns in the
        child, which must not go on as a second worker."""
        if os.getpid() != self._process:
            os._exit(0)
        self._slots[thread] = None
        duration_ns = monotonic_ns() - start
        if duration_ns > self._slow_ns:
            self._watch.note_slow(hook, entity, duration_ns)
        return duration_ns
