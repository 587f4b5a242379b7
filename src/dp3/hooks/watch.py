"""The table of hooks that are running right now, for a watchdog."""

import itertools
import sys
import traceback
from collections import deque
from dataclasses import dataclass
from types import FrameType
from typing import Any, NamedTuple

from dp3.hooks.table import Hook

Entity = tuple[str, Any]
"""(entity type, typed eid)."""

MOST_SLOW_CALLS = 100
"""So many slow calls are remembered until they are reported."""


@dataclass(frozen=True, slots=True)
class RunningHook:
    """A hook that has not returned yet. `stack` tells where it is; it is empty until the hook is slow."""

    hook: Hook
    entity: str
    thread: int
    since: int
    running_s: float
    slow: bool
    hanging: bool
    stack: str


class SlowCall(NamedTuple):
    """A hook that has returned, after longer than it should take."""

    hook: Hook
    entity: str
    took_s: float


class HookWatch:
    """The table "hook running since", with one slot per thread, and a list of calls that took long.

    `slots` maps a thread's identifier to (hook, entity, start in `time.monotonic_ns`) or None. Each thread
    writes its own slot only, so no lock is needed. Hooks are slow after `hook_timeout_s` and hang after
    `hook_hang_s` seconds.
    """

    def __init__(self, hook_timeout_s: float = 10.0, hook_hang_s: float = 60.0) -> None:
        self.slots: dict[int, tuple[Hook, Entity, int] | None] = {}
        self.timeout_s = hook_timeout_s
        self.timeout_ns = round(hook_timeout_s * 1e9)
        self.slow_calls = 0
        self._hang_s = hook_hang_s
        self._numbers = itertools.count(1)
        self._ended: deque[SlowCall] = deque(maxlen=MOST_SLOW_CALLS)

    def note_slow(self, hook: Hook, entity: Entity, duration_ns: int) -> None:
        """A call that took longer than the limit has ended. Called by any thread."""
        self.slow_calls = next(self._numbers)
        self._ended.append(SlowCall(hook, entity_name(entity), duration_ns / 1e9))

    def take_slow(self) -> list[SlowCall]:
        """The latest slow calls since the last time, the oldest first; not all if there were very many."""
        return [self._ended.popleft() for _ in range(len(self._ended))]

    def running(self, now: int) -> list[RunningHook]:
        """All hooks that run at `now` (a reading of `time.monotonic_ns`), the longest-running first."""
        frames = sys._current_frames()
        busy = [(thread, *slot) for thread, slot in list(self.slots.items()) if slot is not None]
        busy.sort(key=lambda entry: entry[3])
        return [
            self._describe(thread, hook, entity, since, now, frames.get(thread))
            for thread, hook, entity, since in busy
        ]

    def _describe(
        self, thread: int, hook: Hook, entity: Entity, since: int, now: int, frame: FrameType | None
    ) -> RunningHook:
        running_s = (now - since) / 1e9
        slow = running_s > self.timeout_s
        return RunningHook(
            hook=hook,
            entity=entity_name(entity),
            thread=thread,
            since=since,
            running_s=running_s,
            slow=slow,
            hanging=running_s > self._hang_s,
            stack="".join(traceback.format_stack(frame)) if slow and frame is not None else "",
        )


def entity_name(entity: Entity) -> str:
    """`type/id`; empty for hooks that are called for none."""
    return f"{entity[0]}/{entity[1]}" if entity[0] else ""
