"""Which hooks run for what, looked up once."""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from dp3.hooks.kinds import HookKind
from dp3.hooks.registration import HookRegistration, Place

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True, eq=False)
class Hook:
    """A hook ready to be called. (`module`, `kind`, `name`, `entity`, `attr`) identify it across restarts of
    the same application; `family` and `context` are its names in counters."""

    call: Callable[..., Any]
    module: str
    name: str
    kind: HookKind
    family: str
    entity: str | None = None
    attr: str | None = None
    context: tuple[str, ...] = ()

    @classmethod
    def of(cls, registration: HookRegistration) -> "Hook":
        """The hook of a registration."""
        return cls(
            call=registration.hook,
            module=registration.module,
            name=registration.name,
            kind=registration.kind,
            family=registration.hook_type or _FAMILIES.get(registration.kind, registration.kind),
            entity=registration.etype,
            attr=registration.attr or registration.attr_type,
            context=_context(registration),
        )


def _context(registration: HookRegistration) -> tuple[str, ...]:
    """What tells the places of one callable apart: entity type, attribute, id and period."""
    attr = registration.attr or registration.attr_type
    parts = [part for part in (registration.etype, attr, registration.hook_id) if part is not None]
    if registration.period is not None:
        parts.append(f"period={registration.period.total_seconds():g}s")
    return tuple(parts)


_FAMILIES: dict[HookKind, str] = {
    "timeseries": "snapshot_timeseries",
    "correlation": "snapshot_correlation",
    "correlation_with_master_record": "snapshot_correlation",
    "snapshot_init": "snapshot_run_init",
    "snapshot_finalize": "snapshot_run_finalize",
}


class Lookup(dict[Key, tuple[Hook, ...]]):
    """Hooks by place; a place without hooks has an empty tuple, and asking for it adds nothing."""

    def __missing__(self, key: Key) -> tuple[Hook, ...]:
        return ()


class HookTable:
    """The hooks of the ingestion by place, each in the order of registration.

    `task_start`: for every task; `allow[etype]`, `creation[etype]`: for a new entity;
    `new_attr[etype, attr]`: for every data-point of an attribute.
    """

    def __init__(self, registrations: Iterable[HookRegistration]) -> None:
        self.allow: Lookup[str] = Lookup()
        self.creation: Lookup[str] = Lookup()
        self.new_attr: Lookup[Place] = Lookup()
        task_start: list[Hook] = []
        for registration in registrations:
            hook, entity, attr = Hook.of(registration), registration.entity, registration.attr
            if registration.kind == "task":
                task_start.append(hook)
            elif registration.kind == "allow_entity_creation" and entity is not None:
                self.allow[entity] = (*self.allow[entity], hook)
            elif registration.kind == "on_entity_creation" and entity is not None:
                self.creation[entity] = (*self.creation[entity], hook)
            elif registration.kind == "on_new_attr" and entity is not None and attr is not None:
                self.new_attr[entity, attr] = (*self.new_attr[entity, attr], hook)
        self.task_start = tuple(task_start)
        self._etypes = frozenset((*self.allow, *self.creation, *(etype for etype, _ in self.new_attr)))

    def touches(self, etype: str) -> bool:
        """Whether any hook may run for a task of this entity type."""
        return bool(self.task_start) or etype in self._etypes
