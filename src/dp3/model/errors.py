"""Errors of the model, and the wording they share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

_SHOWN = 80


class Reject(ValueError):
    """The fast path is not sure about a value; the full validation decides."""


@dataclass(frozen=True, slots=True)
class SpecError:
    """One mistake in the entity configuration.

    `path` leads from the entity type to the place: `("device", "attribs", "load", "data_type")`.
    """

    path: tuple[str, ...]
    message: str

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}: {self.message}" if self.path else self.message


class ModelSpecError(ValueError):
    """The entity configuration is invalid; `errors` holds every mistake found."""

    def __init__(self, errors: Sequence[SpecError]) -> None:
        super().__init__("\n".join(map(str, errors)))
        self.errors = tuple(errors)


def shown(value: Any) -> str:
    """The representation of a value, cut to a length that fits into a message."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def did_you_mean(name: Any, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the known name nearest to `name`, or an empty text."""
    near = get_close_matches(str(name), list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
