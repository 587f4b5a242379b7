"""Output of benchmarks: progress, figures as tables or JSON, and a warning when they mean nothing."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


class BenchFailed(Exception):
    """The program did not do what it should have: its figures mean nothing."""


def expect(what: str, found: object, expected: object) -> None:
    """Raise `BenchFailed` if what was found is not what should have been."""
    if found != expected:
        raise BenchFailed(f"{what}: {found}, expected {expected}")


Say = Callable[[str], None]
"""Tells what is being done."""


def say(text: str) -> None:
    """Tell it on standard error."""
    Console(stderr=True).print(f"[dim]{text} …[/dim]")


def show(figures: Mapping[str, Any], as_json: bool) -> None:
    """Print figures: one JSON object, or a table for those at the top and one for each group."""
    if as_json:
        Console().print_json(json.dumps(figures))
        return
    groups = {name: value for name, value in figures.items() if isinstance(value, Mapping)}
    alone = {name: value for name, value in figures.items() if name not in groups}
    for title, part in {"": alone, **groups}.items():
        if part:
            Console().print(_table(title, part))


def _table(title: str, figures: Mapping[str, Any]) -> Table:
    columns = [value for value in figures.values() if isinstance(value, Mapping)]
    if len(columns) == len(figures):
        wide = Table("figure", *figures, title=title)
        for name in columns[0]:
            wide.add_row(name, *(str(column[name]) for column in columns))
        return wide
    table = Table("figure", "value", title=title or None)
    for name, value in figures.items():
        table.add_row(name, str(value))
    return table
