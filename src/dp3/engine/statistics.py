"""Numbers that a worker reports of itself while it works."""

from bisect import bisect_left

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the classes into which durations are sorted."""

ABOVE = "inf"


class Durations:
    """Counts of something that was done, by how long it took, and how long all took together."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BUCKETS_S) + 1)
        self._sum_s = 0.0

    def add(self, duration_s: float) -> None:
        self._counts[bisect_left(BUCKETS_S, duration_s)] += 1
        self._sum_s += duration_s

    def numbers(self, name: str) -> dict[str, float]:
        """`NAME_BOUND` for each class, not cumulative, and `NAME_s`."""
        classes = zip((*BUCKETS_S, ABOVE), self._counts, strict=True)
        return {**{f"{name}_{bound}": count for bound, count in classes}, f"{name}_s": self._sum_s}


class Statistics:
    """Numbers since the worker was started. Written by the worker's thread once a batch or slice, read by
    any."""

    def __init__(self) -> None:
        self._durations = {name: Durations() for name in ("batches", "packing", "cleaning")}
        self._lookups = 0
        self._misses = 0
        self._packed = 0
        self._packing_read = 0
        self._passes = {"packing": 0, "cleaning": 0}

    def batch(self, duration_s: float) -> None:
        """A batch was read, processed and committed."""
        self._durations["batches"].add(duration_s)

    def looked_up(self, entities: int, misses: int) -> None:
        """Entities of a batch were looked for; for `misses` of them the state had to be asked."""
        self._lookups += entities
        self._misses += misses

    def upkeep(self, name: str, duration_s: float) -> None:
        """A slice of `packing` or `cleaning` of history was done."""
        self._durations[name].add(duration_s)

    def passed(self, name: str) -> None:
        """A pass of `packing` or `cleaning` is over."""
        self._passes[name] += 1

    def packing_read(self, rows: int) -> None:
        """Rows were read in order to be packed."""
        self._packing_read += rows

    def packed(self, points: int) -> None:
        """Data-points were packed."""
        self._packed += points

    def numbers(self) -> dict[str, float]:
        """All of them by name."""
        numbers: dict[str, float] = {
            "entity_lookups": self._lookups,
            "entity_misses": self._misses,
            "packed": self._packed,
            "packing_read": self._packing_read,
            **{f"{name}_passes": passes for name, passes in self._passes.items()},
        }
        for name, durations in self._durations.items():
            numbers |= durations.numbers(name)
        return numbers
