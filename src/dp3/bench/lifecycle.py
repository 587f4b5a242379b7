"""`dp3 bench lifecycle`: how fast the upkeep of what is stored is, and what it costs others."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from dp3.bench.archive import archive
from dp3.bench.collecting import collector, weak
from dp3.bench.packing import compaction
from dp3.bench.retention import retention
from dp3.bench.showing import Say
from dp3.bench.updating import updater

INTERVALS = 1_000_000
ENTITIES = 100_000
LARGE = 1_000_000
POINTS_OF_ENTITY = 4
"""Data-points that are archived, for each entity of the other phases."""

SMALL = 4
"""A phase is measured with so many times less first: the memory that it takes must not depend on it."""

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sizes:
    """Intervals to pack, and entities of all other phases."""

    intervals: int = INTERVALS
    entities: int = ENTITIES


@dataclass(frozen=True, slots=True)
class Phase:
    """`measure` takes how much of it there is to be, of the `size` that is wanted; `headlines` are those of
    its figures that stand at the top."""

    measure: Callable[[int, Say], Figures]
    size: Callable[[Sizes], int]
    headlines: tuple[str, ...]


def _entities(sizes: Sizes) -> int:
    return sizes.entities


PHASES = {
    "compaction": Phase(
        compaction, lambda sizes: sizes.intervals, ("compaction_per_s", "second_pass_rows_read")
    ),
    "retention": Phase(retention, _entities, ("retention_ratio",)),
    "collector": Phase(collector, _entities, ("collector_per_s",)),
    "weak": Phase(weak, _entities, ("weak_per_s",)),
    "updater": Phase(updater, _entities, ("updater_per_s",)),
    "archive": Phase(archive, lambda sizes: sizes.entities * POINTS_OF_ENTITY, ("archive_wait_ms",)),
}


def lifecycle(only: Iterable[str], sizes: Sizes, say: Say) -> Figures:
    """Measure some phases, each with a quarter of its size and with all of it. Raises `BenchFailed`."""
    figures: Figures = {}
    groups: dict[str, Figures] = {}
    rss_mb: dict[str, dict[str, float]] = {}
    for name in only:
        phase, size = PHASES[name], PHASES[name].size(sizes)
        say(f"{name}: a quarter first")
        small = phase.measure(size // SMALL, say)
        groups[name] = phase.measure(size, say)
        figures |= {headline: groups[name].pop(headline) for headline in phase.headlines}
        rss_mb[name] = {"n": small["rss_mb"], f"{SMALL}n": groups[name].pop("rss_mb")}
    return figures | {"rss_mb": rss_mb} | groups
