"""Errors of the registration of hooks.

ValueError
└── RegistrationError        a hook, its place or its arguments are not acceptable
    ├── UnknownNameError     (also a KeyError) no such entity type or attribute
    └── CycleError           correlation hooks wait for each other
"""

from collections.abc import Iterable
from difflib import get_close_matches

_LISTED = 12


class RegistrationError(ValueError):
    """A registration was refused; nothing of it remains."""


class UnknownNameError(RegistrationError, KeyError):
    """The registration names an entity type or attribute that the model does not have."""

    def __str__(self) -> str:
        return ValueError.__str__(self)


class CycleError(RegistrationError):
    """The registration would make correlation hooks depend on their own results."""


def suggestion(name: object, known: Iterable[str]) -> str:
    """A hint to append to a message: the nearest known name, else the known names themselves.

    >>> suggestion("lod", ["load", "name"])
    " Did you mean 'load'?"
    >>> suggestion("x", ["load", "name"])
    ' Known: load, name.'
    """
    names = sorted(known)
    if not names:
        return ""
    near = get_close_matches(str(name), names, n=1)
    if near:
        return f" Did you mean '{near[0]}'?"
    more = ", …" if len(names) > _LISTED else ""
    return f" Known: {', '.join(names[:_LISTED])}{more}."
