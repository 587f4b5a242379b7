"""`dp3 bench lifecycle`: how fast the upkeep of what is stored is, and what it costs others."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from dp3.bench.archive import archive
from dp3.bench.compaction import compaction
from dp3.bench.lifetimes import collector, updater, weak
from dp3.bench.report import Say
from dp3.bench.retention import retention

INTERVALS = 1_000_000
ENTITIES = 100_000
LARGE = 1_000_000
POINTS_OF_ENTITY = 4
"""Data-points that are archived, for each entity of the other phases."""

SMALL = 4
"""A phase is measured with so many times less first: the memory that it takes must not depend on it."""

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Phase:
    """`measure` takes how much of it there is to be: intervals or `of_entity` things of each entity;
    `headlines` are those of its figures that stand at the top."""

    measure: Callable[[int, Say], Figures]
    headlines: tuple[str, ...]
    of_entity: int = 1


PHASES = {
    "compaction": Phase(compaction, ("compaction_per_s", "second_pass_rows_read"), of_entity=0),
    "retention": Phase(retention, ("retention_ratio",)),
    "collector": Phase(collector, ("collector_per_s",)),
    "weak": Phase(weak, ("weak_per_s",)),
    "updater": Phase(updater, ("updater_per_s",)),
    "archive": Phase(archive, ("archive_wait_ms",), of_entity=POINTS_OF_ENTITY),
}
"""Packing alone goes by the number of intervals."""


def lifecycle(only: Iterable[str], intervals: int, entities: int, say: Say) -> Figures:
    """Measure some phases, each with a quarter of its size and with all of it. Raises `BenchFailed`."""
    figures: Figures = {}
    groups: dict[str, Figures] = {}
    rss_mb: dict[str, dict[str, float]] = {}
    for name in only:
        phase = PHASES[name]
        size = phase.of_entity * entities or intervals
        say(f"{name}: a quarter first")
        small = phase.measure(size // SMALL, say)
        groups[name] = phase.measure(size, say)
        figures |= {headline: groups[name].pop(headline) for headline in phase.headlines}
        rss_mb[name] = {"n": small["rss_mb"], f"{SMALL}n": groups[name].pop("rss_mb")}
    return figures | {"rss_mb": rss_mb} | groups
