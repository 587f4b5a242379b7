"""Numbers of a worker: those that it reports of itself while it works, and those of its hooks, committed with
the work."""

from bisect import bisect_left
from collections.abc import Hashable
from typing import TypeVar

from dp3.hooks.outcome import HookOutcome
from dp3.hooks.table import Hook
from dp3.store.ports.counters import HookSums

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the classes into which durations are sorted."""

ABOVE = "inf"

K = TypeVar("K", bound=Hashable)


class Durations:
    """Counts of something that was done, by how long it took, and how long all took together."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BUCKETS_S) + 1)
        self._sum_s = 0.0

    def add(self, duration_s: float) -> None:
        self._counts[bisect_left(BUCKETS_S, duration_s)] += 1
        self._sum_s += duration_s

    def numbers(self, name: str) -> dict[str, float]:
        """`NAME_BOUND` for each class, not cumulative, and `NAME_s`."""
        classes = zip((*BUCKETS_S, ABOVE), self._counts, strict=True)
        return {**{f"{name}_{bound}": count for bound, count in classes}, f"{name}_s": self._sum_s}


class Statistics:
    """Numbers since the worker was started. Written by the worker's thread once a batch or slice, read by
    any."""

    def __init__(self) -> None:
        self._durations = {name: Durations() for name in ("batches", "packing", "cleaning")}
        self._lookups = 0
        self._misses = 0
        self._packed = 0
        self._packing_read = 0
        self._passes = {"packing": 0, "cleaning": 0}

    def batch(self, duration_s: float) -> None:
        """A batch was read, processed and committed."""
        self._durations["batches"].add(duration_s)

    def looked_up(self, entities: int, misses: int) -> None:
        """Entities of a batch were looked for; for `misses` of them the state had to be asked."""
        self._lookups += entities
        self._misses += misses

    def upkeep(self, name: str, duration_s: float) -> None:
        """A slice of `packing` or `cleaning` of history was done."""
        self._durations[name].add(duration_s)

    def passed(self, name: str) -> None:
        """A pass of `packing` or `cleaning` is over."""
        self._passes[name] += 1

    def packing_read(self, rows: int) -> None:
        """Rows were read in order to be packed."""
        self._packing_read += rows

    def packed(self, points: int) -> None:
        """Data-points were packed."""
        self._packed += points

    def numbers(self) -> dict[str, float]:
        """All of them by name."""
        numbers: dict[str, float] = {
            "entity_lookups": self._lookups,
            "entity_misses": self._misses,
            "packed": self._packed,
            "packing_read": self._packing_read,
            **{f"{name}_passes": passes for name, passes in self._passes.items()},
        }
        for name, durations in self._durations.items():
            numbers |= durations.numbers(name)
        return numbers


class HookTally:
    """Sums over calls of hooks. For one thread at a time."""

    __slots__ = ("sums",)

    def __init__(self) -> None:
        self.sums: dict[Hook, list[int]] = {}

    def count(self, hook: Hook, outcome: HookOutcome, failed: bool, created: int = 0) -> None:
        """One call of a hook, whether it failed, and how many of its tasks were kept."""
        sums = self.sums.get(hook)
        if sums is None:
            sums = self.sums[hook] = [0] * 6
        sums[0] += 1
        sums[1] += failed
        sums[2] += outcome.duration_ns
        sums[3] += created
        if outcome.allowed is not None:
            sums[4 if outcome.allowed else 5] += 1

    def add(self, other: "HookTally") -> None:
        """Add what another one has counted."""
        for hook, sums in other.sums.items():
            _add(self.sums, hook, sums)

    def rows(self) -> list[HookSums]:
        """The sums as they are stored, by the names of hooks in counters."""
        named: dict[tuple[str, str, str, str], list[int]] = {}
        for hook, sums in self.sums.items():
            _add(named, (hook.module, hook.counted_as, hook.family, ",".join(hook.context)), sums)
        return [HookSums(*names, *map(int, sums)) for names, sums in named.items()]


def _add(sums: dict[K, list[int]], key: K, more: list[int]) -> None:
    old = sums.get(key)
    sums[key] = more if old is None else [a + b for a, b in zip(old, more, strict=True)]
