"""`dp3 bench ingest`: scenarios and their presentation."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Literal

from dp3.bench.ingest import Result, ingest
from dp3.bench.reading import reading
from dp3.bench.showing import Say, say, show
from dp3.bench.workload import Workload

Scenario = Literal["main", "ordered", "singles", "zipf", "reader", "all"]

ZIPF_ENTITIES = 1_000_000
COMPARED_POINTS = 400_000
"""Both loads of the comparison write so many rows."""


def run(scenario: Scenario, total: int, clients: int, as_json: bool) -> None:
    """Run scenarios and print their figures, as a table or as one JSON object."""
    show(_figures(scenario, total, clients, say), as_json)


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


__all__ = ["Result", "Scenario", "run"]
