"""Repetitions are told by powers of ten, and once in a while."""

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

QUIET_S = 3600.0
"""A repetition is told at least once in this time, however many times are left to the next
power of ten."""

MOST_CAUSES = 1_000
"""Causes that are told apart; what has others, made up as they go, is counted together after that."""

_OTHERS = ("others",)


@dataclass(slots=True)
class _Count:
    times: int = 0
    next: int = 1
    told_at: float = 0.0


class Repetitions:
    """Counts what happens by its cause. To be told are the 1st, 10th, 100th, … time, and the next one when
    the last that was told is an hour old. Any threads may use it.

    `now_s` is a clock that never goes back."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()
        self._counts: dict[Hashable, _Count] = {}

    def due(self, cause: Hashable) -> int:
        """Count; returns how often it happened for this cause if that is to be told now, else 0."""
        now_s = self._now_s()
        with self._lock:
            if cause not in self._counts and len(self._counts) >= MOST_CAUSES:
                cause = _OTHERS
            count = self._counts.setdefault(cause, _Count())
            count.times += 1
            if count.times < count.next and now_s - count.told_at < QUIET_S:
                return 0
            count.told_at = now_s
            while count.next <= count.times:
                count.next *= 10
            return count.times


def so_often(times: int) -> str:
    """The number of times, for a message, unless it is the first time."""
    return "" if times == 1 else f" {times} times, now"
