"""Hooks ready to be called, looked up by kind and place, and their counters."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote

from dp3.hooks.kinds import HOOK_KINDS, HOOK_SPECS, HookKind, HookSpec
from dp3.hooks.outcome import HookOutcome
from dp3.hooks.registration import HookRegistration, get_inner_func_name

_UNQUOTED = "._-(),[]"


@dataclass(frozen=True, slots=True, eq=False)
class Hook:
    """A hook ready to be called. (`module`, `kind`, `name`, `entity`, `attr`) identify it across restarts of
    the same application. `family`, `counted_as` and `context` are its names in counters, where partials of
    one callable are one hook. `spec` is the row of its kind."""

    call: Callable[..., Any]
    module: str
    name: str
    kind: HookKind
    family: str
    entity: str | None = None
    attr: str | None = None
    context: tuple[str, ...] = ()
    counted_as: str = field(init=False)
    spec: HookSpec = field(init=False)

    def __post_init__(self) -> None:
        is_partial = isinstance(self.call, partial)
        object.__setattr__(self, "counted_as", get_inner_func_name(self.call) if is_partial else self.name)
        object.__setattr__(self, "spec", HOOK_SPECS[self.kind])

    @classmethod
    def of(cls, registration: HookRegistration) -> "Hook":
        """The hook of a registration."""
        return cls(
            call=registration.hook,
            module=registration.module,
            name=registration.name,
            kind=registration.kind,
            family=registration.hook_type or registration.spec.family or registration.kind,
            entity=registration.etype,
            attr=registration.attr or registration.attr_type,
            context=_context(registration),
        )


def _context(registration: HookRegistration) -> tuple[str, ...]:
    """The places of one callable are told apart by entity type, attribute, id and period."""
    attr = registration.attr or registration.attr_type
    parts = [part for part in (registration.etype, attr, registration.hook_id) if part is not None]
    if registration.period is not None:
        parts.append(f"period={registration.period.total_seconds():g}s")
    return tuple(parts)


class Lookup(dict[Any, tuple[Hook, ...]]):
    """Hooks by place; a place without hooks has an empty tuple, and asking for it adds nothing."""

    def __missing__(self, key: Hashable) -> tuple[Hook, ...]:
        return ()


class HookTable(dict[str, Lookup]):
    """Hooks by kind, then by place, each in the order of registration.

    The place is that of the kind: `table["on_new_attr"][etype, attr]`, `table["on_entity_creation"][etype]`,
    `table["task"][()]`.
    """

    def __init__(self, registrations: Iterable[HookRegistration]) -> None:
        super().__init__({kind: Lookup() for kind in HOOK_KINDS})
        for registration in registrations:
            lookup = self[registration.kind]
            lookup[registration.place] = (*lookup[registration.place], Hook.of(registration))

    def touches(self, etype: str) -> bool:
        """True if any hook may run for a task of this entity type."""
        return any(
            hook.entity in (None, etype)
            for kind, lookup in self.items()
            if HOOK_SPECS[kind].stage == "ingestion"
            for hooks in lookup.values()
            for hook in hooks
        )

    def find(self, module: str, name: str, kind: str) -> Hook | None:
        """The hook of these names, None if there is none now."""
        for known, lookup in self.items():
            for hooks in lookup.values() if known == kind else ():
                for hook in hooks:
                    if (hook.module, hook.name) == (module, name):
                        return hook
        return None


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
        return cls(hook.family, hook.counted_as, hook.context)


class HookTelemetry:
    """Adds up what hooks did until somebody takes the sums. For one thread."""

    def __init__(self) -> None:
        self._tracked: dict[Hook, TrackedHook] = {}
        self._sums: Counter[str] = Counter()

    def add(self, hook: Hook, outcome: HookOutcome) -> None:
        """Count one call of a hook."""
        tracked = self._tracked.get(hook)
        if tracked is None:
            tracked = self._tracked[hook] = TrackedHook.of(hook)
        sums = self._sums
        sums[tracked.executions] += 1
        sums[tracked.duration_ns] += outcome.duration_ns
        if outcome.error is not None:
            sums[tracked.failures] += 1
        if outcome.allowed is not None:
            sums[tracked.allowed if outcome.allowed else tracked.denied] += 1
        elif outcome.tasks:
            sums[tracked.created_tasks] += len(outcome.tasks)

    def take(self) -> dict[str, int]:
        """The sums since the last call, by name of counter."""
        taken, self._sums = dict(self._sums), Counter()
        return taken
