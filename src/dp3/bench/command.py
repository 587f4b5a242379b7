"""`dp3 bench ingest`: scenarios and their presentation."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from dp3.bench.ingest import Result, ingest
from dp3.bench.reading import reading
from dp3.bench.workload import Workload

Scenario = Literal["main", "ordered", "singles", "zipf", "reader", "all"]

ZIPF_ENTITIES = 1_000_000
COMPARED_POINTS = 400_000
"""Both loads of the comparison write so many rows."""

Say = Callable[[str], None]


def run(scenario: Scenario, total: int, clients: int, as_json: bool) -> None:
    """Run scenarios and print their figures, as a table or as one JSON object."""
    errors = Console(stderr=True)

    def say(text: str) -> None:
        errors.print(f"[dim]{text} …[/dim]")

    figures = _figures(scenario, total, clients, say)
    if as_json:
        Console().print_json(json.dumps(figures))
    else:
        _print_tables(figures)


def _figures(scenario: Scenario, total: int, clients: int, say: Say) -> dict[str, Any]:
    """The main load at the top level, the other scenarios below it by name."""
    figures: dict[str, Any] = {}
    if scenario in ("main", "all"):
        figures |= asdict(ingest(Workload(total=total), clients, say))
    for name, measure in _OTHERS.items():
        if scenario in (name, "all"):
            say(f"scenario: {name}")
            figures[name] = measure(total, clients, say)
    return figures


def _ordered(total: int, clients: int, say: Say) -> dict[str, Any]:
    return asdict(ingest(Workload(total=total, order="time"), clients, say))


def _singles(total: int, clients: int, say: Say) -> dict[str, Any]:
    result = ingest(Workload(total=min(total, 20_000), batch=1), 8, say)
    return {"requests_per_s": result.accepted_per_s, **asdict(result)}


def _zipf(total: int, clients: int, say: Say) -> dict[str, Any]:
    """A million entities by Zipf's law against ten thousand, with as many rows."""
    small = ingest(Workload(total=COMPARED_POINTS), clients, say)
    large = ingest(Workload(total=COMPARED_POINTS, entities=ZIPF_ENTITIES, zipf=True), clients, say)
    return {"cost_ratio": round(small.end_to_end_per_s / large.end_to_end_per_s, 2), **asdict(large)}


_OTHERS: dict[str, Callable[[int, int, Say], dict[str, Any]]] = {
    "ordered": _ordered,
    "singles": _singles,
    "zipf": _zipf,
    "reader": reading,
}


def _print_tables(figures: dict[str, Any]) -> None:
    nested = {name: figures.pop(name) for name in _OTHERS if name in figures}
    for title, part in {"main": figures, **nested}.items():
        if part:
            table = Table("figure", "value", title=title)
            for name, value in part.items():
                table.add_row(name, str(value))
            Console().print(table)


__all__ = ["Result", "Scenario", "run"]
