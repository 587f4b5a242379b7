"""Calls hooks of the ingestion so that their failures stay theirs."""

import os
from collections.abc import Sequence
from threading import get_ident
from time import monotonic_ns
from typing import Any

from dp3.hooks.outcome import AllowOutcome, HookOutcome, hook_failed
from dp3.hooks.results import tasks_of
from dp3.hooks.table import Hook
from dp3.hooks.watch import Entity, HookWatch
from dp3.model.task import DataPointTask

_FAILURES = BaseException
"""What counts as a failure of the hook: neither a library's `sys.exit()` nor a `CancelledError` that escapes
from its event loop may end the worker. Signals never raise here, the process has its own handlers."""


class Guard:
    """Runs hooks, one at a time in each thread, and registers them with `watch` while they run.

    `max_tasks` bounds what one call may produce. `entity` is (entity type, eid), for reports only.
    """

    def __init__(self, watch: HookWatch, max_tasks: int = 10_000) -> None:
        self._watch = watch
        self._slots = watch.slots
        self._slow_ns = watch.timeout_ns
        self._max_tasks = max_tasks
        self._process = os.getpid()

    def run(self, hook: Hook, entity: Entity, *args: Any) -> HookOutcome:
        """Call a hook that may return tasks. When it raises, also in the middle of a generator, or when
        its result is not all tasks, nothing of it is kept, so that calling it again adds nothing twice."""
        tasks: Sequence[DataPointTask] = ()
        error = None
        thread = get_ident()
        start = monotonic_ns()
        self._slots[thread] = (hook, entity, start)
        try:
            result = hook.call(*args)
            if result is not None:
                tasks, error = tasks_of(result, self._max_tasks)
        except _FAILURES as raised:
            error = hook_failed(raised)
        finally:
            duration_ns = self._end(thread, hook, entity, start)
        return HookOutcome(tasks, error, duration_ns)

    def notify(self, hook: Hook, entity: Entity, *args: Any) -> HookOutcome:
        """Call a hook whose result is ignored."""
        error = None
        thread = get_ident()
        start = monotonic_ns()
        self._slots[thread] = (hook, entity, start)
        try:
            hook.call(*args)
        except _FAILURES as raised:
            error = hook_failed(raised)
        finally:
            duration_ns = self._end(thread, hook, entity, start)
        return HookOutcome((), error, duration_ns)

    def allows(self, hook: Hook, entity: Entity, *args: Any) -> AllowOutcome:
        """Ask an allow hook. One that fails allows, and the failure is reported."""
        allowed, error = True, None
        thread = get_ident()
        start = monotonic_ns()
        self._slots[thread] = (hook, entity, start)
        try:
            allowed = bool(hook.call(*args))
        except _FAILURES as raised:
            error = hook_failed(raised)
        finally:
            duration_ns = self._end(thread, hook, entity, start)
        return AllowOutcome(allowed, error, duration_ns)

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
