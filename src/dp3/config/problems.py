"""Mistakes of a configuration, each with its place."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dp3.printable import printable

_LONGEST = 80


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. `line` counts from 1 and is None when no line can be told; `path` leads from the top of
    the file to the setting."""

    file: Path
    line: int | None
    path: tuple[str, ...]
    message: str

    def __str__(self) -> str:
        place = str(self.file) if self.line is None else f"{self.file}:{self.line}"
        return printable(": ".join(filter(None, (place, ".".join(self.path), self.message))))


class ConfigurationError(ValueError):
    """The configuration cannot be used; `problems` lists every mistake, sorted by file and line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (str(p.file), p.line or 0, p.path, p.message)))
        super().__init__("\n".join(map(str, self.problems)))


def shown(value: Any) -> str:
    """A value as it may stand in a message: short, on one line, without the content of mappings and lists."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
