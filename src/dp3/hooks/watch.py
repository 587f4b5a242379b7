"""Which hooks are running right now, for a watchdog."""

import sys
import traceback
from dataclasses import dataclass
from types import FrameType
from typing import Any

from dp3.hooks.table import Hook

Entity = tuple[str, Any]
"""(entity type, typed eid)."""


@dataclass(frozen=True, slots=True)
class RunningHook:
    """A hook that has not returned yet. `stack` tells where it is; it is empty until the hook is slow."""

    hook: Hook
    entity: str
    thread: int
    running_s: float
    slow: bool
    hanging: bool
    stack: str


class HookWatch:
    """The table "hook running since", with one slot per thread.

    `slots` maps a thread's identifier to (hook, entity, start in `time.monotonic_ns`) or None. Each thread
    writes its own slot only, so no lock is needed. Hooks are slow after `hook_timeout_s` and hang after
    `hook_hang_s` seconds.
    """

    def __init__(self, hook_timeout_s: float = 10.0, hook_hang_s: float = 60.0) -> None:
        self.slots: dict[int, tuple[Hook, Entity, int] | None] = {}
        self._timeout_s = hook_timeout_s
        self._hang_s = hook_hang_s

    def running(self, now: int) -> list[RunningHook]:
        """All hooks that run at `now` (a reading of `time.monotonic_ns`), the longest-running first."""
        frames = sys._current_frames()
        busy = [(thread, *slot) for thread, slot in list(self.slots.items()) if slot is not None]
        busy.sort(key=lambda entry: entry[3])
        return [
            self._describe(thread, hook, entity, now - since, frames.get(thread))
            for thread, hook, entity, since in busy
        ]

    def _describe(
        self, thread: int, hook: Hook, entity: Entity, running_ns: int, frame: FrameType | None
    ) -> RunningHook:
        running_s = running_ns / 1e9
        slow = running_s > self._timeout_s
        return RunningHook(
            hook=hook,
            entity=f"{entity[0]}/{entity[1]}",
            thread=thread,
            running_s=running_s,
            slow=slow,
            hanging=running_s > self._hang_s,
            stack="".join(traceback.format_stack(frame)) if slow and frame is not None else "",
        )
