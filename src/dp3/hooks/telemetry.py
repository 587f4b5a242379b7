"""Counters of hooks: how often each ran, failed, how long it took and what it produced."""

from collections import Counter
from urllib.parse import quote

from dp3.hooks.outcome import AllowOutcome, HookOutcome
from dp3.hooks.table import Hook

_UNQUOTED = "._-(),[]"


class TrackedHook:
    """The names of one hook's counters: `<family>/<callable>/(<context,…>)/<metric>`, percent-encoded."""

    __slots__ = ("allowed", "created_tasks", "denied", "duration_ns", "executions", "failures")

    def __init__(self, family: str, name: str, context: tuple[str, ...] = ()) -> None:
        parts = (family, name, f"({','.join(context)})")
        prefix = "/".join(quote(part, safe=_UNQUOTED) for part in parts)
        self.executions = f"{prefix}/executions"
        self.failures = f"{prefix}/failures"
        self.duration_ns = f"{prefix}/duration_ns"
        self.created_tasks = f"{prefix}/created_tasks"
        self.allowed = f"{prefix}/decisions_allowed"
        self.denied = f"{prefix}/decisions_denied"

    @classmethod
    def of(cls, hook: Hook) -> "TrackedHook":
        """The counters of a hook."""
        return cls(hook.family, hook.name, hook.context)


class HookTelemetry:
    """Adds up what hooks did until somebody takes the sums. For one thread."""

    def __init__(self) -> None:
        self._tracked: dict[Hook, TrackedHook] = {}
        self._sums: Counter[str] = Counter()

    def add(self, hook: Hook, outcome: HookOutcome | AllowOutcome) -> None:
        """Count one call of a hook."""
        tracked = self._tracked.get(hook)
        if tracked is None:
            tracked = self._tracked[hook] = TrackedHook.of(hook)
        sums = self._sums
        sums[tracked.executions] += 1
        sums[tracked.duration_ns] += outcome.duration_ns
        if outcome.error is not None:
            sums[tracked.failures] += 1
        if isinstance(outcome, AllowOutcome):
            sums[tracked.allowed if outcome.allowed else tracked.denied] += 1
        elif outcome.tasks:
            sums[tracked.created_tasks] += len(outcome.tasks)

    def take(self) -> dict[str, int]:
        """The sums since the last call, by name of counter."""
        taken, self._sums = dict(self._sums), Counter()
        return taken
