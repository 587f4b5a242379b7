"""The registrations of all modules, in the order in which they were made."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from dp3.hooks.errors import CycleError, RegistrationError
from dp3.hooks.graph import order
from dp3.hooks.names import get_stable_func_name
from dp3.hooks.registration import HookRegistration


class Record:
    """Grows by whole registrations only; everything else is derived from them, so that a refused one
    leaves nothing behind."""

    def __init__(self) -> None:
        self._registrations: tuple[HookRegistration, ...] = ()
        self._sealed = False

    @property
    def registrations(self) -> tuple[HookRegistration, ...]:
        return self._registrations

    def seal(self) -> None:
        self._sealed = True

    def check_open(self) -> None:
        """Raises `RegistrationError` when it is too late."""
        if self._sealed:
            raise RegistrationError(
                "Registration is closed: the engine has taken the hooks. Register in the module's __init__."
            )

    def add(self, registration: HookRegistration) -> None:
        """Take it, provided that the order of hooks stays possible; raises `CycleError` otherwise."""
        grown = (*self._registrations, registration)
        if registration.orders:
            try:
                order(grown)
            except CycleError as error:
                raise CycleError(
                    f"Hook {registration.correlation_id} introduces a circular dependency. Cycle: {error}"
                ) from None
        self._registrations = grown

    def matching(self, **fields: object) -> Sequence[HookRegistration]:
        """Registrations of which all the given fields are equal."""
        return [
            registration
            for registration in self._registrations
            if all(getattr(registration, field) == value for field, value in fields.items())
        ]

    def name_for(self, hook: Callable[..., Any]) -> str:
        """The hook's name; different callables of one name (closures, lambdas) are numbered `name#2`, ...."""
        stable = get_stable_func_name(hook)
        taken = {registration.name: registration.hook for registration in self._registrations}
        candidates = (stable if number == 1 else f"{stable}#{number}" for number in count(1))
        return next(name for name in candidates if name not in taken or taken[name] == hook)
