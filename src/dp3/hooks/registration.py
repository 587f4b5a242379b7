"""A registered hook, the flag by which its module has it run again, and how callables are named in messages,
counters and dead letters."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from threading import Lock
from types import MappingProxyType
from typing import Any

from dp3.hooks.kinds import HOOK_SPECS, HookKind, HookSpec

_STABLE = (str, bytes, int, float, bool, type(None))

Path = tuple[str, ...]
"""Names of attributes from an entity type over links to an attribute."""

Place = tuple[str, str]
"""(entity type, attribute)."""


class SharedFlag:
    """A switch within one process, such as "derived values must be computed again".

    `banner` says in logs what it is for. Any thread may set and read it.
    """

    def __init__(self, flag: bool = False, banner: str = "") -> None:
        self._lock = Lock()
        self._raised: object | None = None
        self._banner = banner
        self.set(flag)

    def set(self, flag: bool = True) -> None:
        """Raise the flag (or give it the state `flag`)."""
        with self._lock:
            self._raised = object() if flag else None

    def unset(self) -> None:
        """Lower the flag."""
        self.set(False)

    def isset(self) -> bool:
        """True while the flag is raised."""
        return self._raised is not None

    @property
    def raised(self) -> object | None:
        """Stands for the last time that the flag was raised; None while it is lowered."""
        return self._raised

    def lower(self, raised: object) -> None:
        """Lower the flag, unless it was raised again since it was `raised`."""
        with self._lock:
            if self._raised is raised:
                self._raised = None

    def __str__(self) -> str:
        return str(self.isset())

    def __repr__(self) -> str:
        flag = self.isset()
        return f"SharedFlag({self._banner!r}, {flag})" if self._banner else f"SharedFlag({flag})"


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
    def spec(self) -> HookSpec:
        """The row of its kind."""
        return HOOK_SPECS[self.kind]

    @property
    def orders(self) -> bool:
        """True if the hook has a place in the order of a snapshot run: correlation and refreshed hooks."""
        return self.spec.ordered or self.refresh is not None

    @property
    def place(self) -> Hashable:
        """The key by which hooks of the kind are looked up: nothing, entity type, or attribute."""
        if self.spec.place == "":
            return ()
        return self.etype if self.spec.place == "etype" else (self.etype, self.attr or self.attr_type)

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


def get_func_name(func: Callable[..., Any]) -> str:
    """`module.qualname` of a function, method or callable object; partials show their arguments.

    >>> import json
    >>> get_func_name(partial(json.dumps, indent=2))
    'partial(json.dumps, indent=2)'
    """
    return _name(func, repr)


def get_inner_func_name(func: Callable[..., Any]) -> str:
    """The name of the callable in a partial: its arguments are settings, and may be secrets.

    >>> import json
    >>> get_inner_func_name(partial(json.dumps, indent=2))
    'json.dumps'
    """
    while isinstance(func, partial):
        func = func.func
    return get_func_name(func)


def get_stable_func_name(func: Callable[..., Any]) -> str:
    """Like `get_func_name`, the same in every process: arguments of a partial whose `repr` may contain an
    address are replaced by their type.

    >>> import json
    >>> get_stable_func_name(partial(json.dumps, object(), indent=2))
    'partial(json.dumps, object, indent=2)'
    """
    return _name(func, _stable_repr)


def _name(func: Callable[..., Any], show: Callable[[Any], str]) -> str:
    if isinstance(func, partial):
        positional = [show(arg) for arg in func.args]
        keywords = [f"{key}={show(value)}" for key, value in func.keywords.items()]
        return f"partial({', '.join([_name(func.func, show), *positional, *keywords])})"
    named = func if hasattr(func, "__qualname__") else type(func)
    module = getattr(named, "__module__", None)
    return f"{module}.{named.__qualname__}" if module else named.__qualname__


def _stable_repr(value: Any) -> str:
    if isinstance(value, _STABLE):
        return repr(value)
    if callable(value) and hasattr(value, "__qualname__"):
        return get_stable_func_name(value)
    return type(value).__qualname__
