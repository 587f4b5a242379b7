"""Counters of hooks, to be committed with the work itself."""

from dp3.hooks.outcome import HookOutcome
from dp3.hooks.table import Hook
from dp3.store.ports.counters import HookSums


class HookTally:
    """Sums over calls of hooks. For one thread at a time."""

    __slots__ = ("sums",)

    def __init__(self) -> None:
        self.sums: dict[Hook, list[int]] = {}

    def count(self, hook: Hook, outcome: HookOutcome, failed: bool, created: int = 0) -> None:
        """One call of a hook, whether it failed, and how many of its tasks were kept."""
        allowed = outcome.allowed
        self._add(hook, [1, failed, outcome.duration_ns, created, allowed is True, allowed is False])

    def add(self, other: "HookTally") -> None:
        """Add what another one has counted."""
        for hook, sums in other.sums.items():
            self._add(hook, sums)

    def _add(self, hook: Hook, more: list[int]) -> None:
        sums = self.sums.get(hook)
        self.sums[hook] = more if sums is None else [a + b for a, b in zip(sums, more, strict=True)]

    def rows(self) -> list[HookSums]:
        """The sums as they are stored."""
        return [
            HookSums(hook.module, hook.name, hook.family, ",".join(hook.context), *map(int, sums))
            for hook, sums in self.sums.items()
        ]
