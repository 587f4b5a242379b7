"""What is remembered of one registered hook."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from dp3.hooks.flags import SharedFlag
from dp3.hooks.kinds import HookKind

Path = tuple[str, ...]
"""Names of attributes from an entity type over links to an attribute."""

Place = tuple[str, str]
"""(entity type, attribute)."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class HookRegistration:
    """One validated registration; fields that a kind does not use are None.

    `module` is the application module that registered it and `name` the hook's name, which differs for
    different callables of one registrar. `entity` and `attr` are set for hooks of the ingestion,
    `entity_type` and `attr_type` for all others that belong to a type. For hooks that run in snapshots
    (see `orders`) `reads` and `writes` are the places at the end of `depends_on` and `may_change` and
    `links` the links and mirrors on the way. `extra` of a scheduler registration holds `func_args`,
    `func_kwargs`, `schedule` (the given cron fields and `timezone`, or None to run once), `job_id` and
    `misfire_grace_time` in seconds.
    """

    kind: HookKind
    hook: Callable[..., Any]
    module: str = ""
    name: str = ""
    entity: str | None = None
    attr: str | None = None
    hook_type: str | None = None
    hook_id: str | None = None
    entity_type: str | None = None
    attr_type: str | None = None
    depends_on: tuple[Path, ...] | None = None
    may_change: tuple[Path, ...] | None = None
    refresh: SharedFlag | None = None
    period: timedelta | None = None
    deprecated: bool = False
    extra: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    reads: tuple[Place, ...] = ()
    writes: tuple[Place, ...] = ()
    links: tuple[Place, ...] = ()

    @property
    def orders(self) -> bool:
        """Whether the hook has a place in the order of a snapshot run: correlation and refreshed hooks."""
        return self.kind in ("correlation", "correlation_with_master_record") or self.refresh is not None

    @property
    def etype(self) -> str | None:
        """The entity type that the hook belongs to, whatever its kind."""
        return self.entity if self.entity is not None else self.entity_type

    @property
    def correlation_id(self) -> str:
        """`name(type, [depends_on], [may_change])`, as shown in messages about the order of hooks."""
        return f"{self.name}({self.etype}, {_shown(self.depends_on)}, {_shown(self.may_change)})"


def _shown(paths: tuple[Path, ...] | None) -> str:
    return f"[{', '.join('->'.join(path) for path in paths or ())}]"
