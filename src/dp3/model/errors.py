"""Errors of the model, in the words of a configuration file."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

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


# -- of pydantic -------------------------------------------------------------------------------------------
def spec_errors(path: tuple[str, ...], cls: Any, error: ValidationError) -> Iterator[SpecError]:
    """One `SpecError` per error of validating `cls`; `path` leads to the validated mapping."""
    for detail in error.errors(include_url=False):
        loc = tuple(map(str, detail["loc"]))
        yield SpecError(path + _without_tags(loc), _message(cls, loc, detail))


def _without_tags(loc: tuple[str, ...]) -> tuple[str, ...]:
    """Drop what pydantic adds to a location for the branch of a union or for a mapping's key."""
    if loc[:1] == ("lifetime",):
        loc = loc[:1] + loc[2:]
    return tuple(part for part in loc if part != "[key]")


def _message(cls: Any, loc: tuple[str, ...], detail: Any) -> str:
    kind, given = detail["type"], detail["input"]
    if kind == "missing":
        return f"Missing mandatory key '{loc[-1]}'"
    if kind == "extra_forbidden":
        return _unknown_key(loc[-1], _known_keys(cls, loc))
    if kind == "string_pattern_mismatch":
        return f"'{given}' is not an identifier: letters, digits, '_' and '-' only, no digit or '-' first"
    if kind in ("value_error", "assertion_error"):
        return str(detail["ctx"]["error"])
    if kind.startswith("time_delta"):
        return f"Expected a duration such as '30s', '5m', '2h' or '7d', got {shown(given)}"
    if kind == "union_tag_invalid":
        tag, known = detail["ctx"]["tag"], detail["ctx"]["expected_tags"]
        return f"Unknown type '{tag}', expected one of {known}{_near_choice(detail)}"
    if kind == "union_tag_not_found":
        return f"Missing mandatory key 'type', got {shown(given)}"
    return f"{detail['msg']}, got {shown(given)}{_near_choice(detail)}"


def _unknown_key(key: str, known: Iterable[str]) -> str:
    keys = sorted(known)
    return f"Unknown key '{key}', expected {', '.join(keys) or 'none'}{did_you_mean(key, keys)}"


def _known_keys(cls: Any, loc: tuple[str, ...]) -> Iterable[str]:
    if loc[0] == "lifetime":
        return _lifetime_keys(cls, loc[1])
    return tuple(cls.model_fields)


def _lifetime_keys(cls: type[BaseModel], tag: str) -> Iterable[str]:
    for choice in getattr(cls.model_fields["lifetime"].annotation, "__args__", ()):
        if choice.model_fields["type"].default == tag:
            return tuple(choice.model_fields)
    return ()


def _near_choice(detail: Any) -> str:
    context = detail.get("ctx", {})
    expected = context.get("expected", context.get("expected_tags"))
    given = context.get("tag", detail["input"])
    if not isinstance(expected, str) or not isinstance(given, str):
        return ""
    return did_you_mean(given, re.findall(r"'([^']+)'", expected))
