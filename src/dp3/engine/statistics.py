"""What a worker can tell of itself while it works."""

from bisect import bisect_left

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the classes into which durations of batches are sorted."""

ABOVE = "inf"


class Statistics:
    """Numbers since the worker was started. Written by the worker's thread once a batch, read by any."""

    def __init__(self) -> None:
        self._batches = [0] * (len(BUCKETS_S) + 1)
        self._batch_s = 0.0
        self._lookups = 0
        self._misses = 0

    def batch(self, duration_s: float) -> None:
        """A batch was read, processed and committed."""
        self._batches[bisect_left(BUCKETS_S, duration_s)] += 1
        self._batch_s += duration_s

    def looked_up(self, entities: int, misses: int) -> None:
        """Entities of a batch were looked for; for `misses` of them the state had to be asked."""
        self._lookups += entities
        self._misses += misses

    def numbers(self) -> dict[str, float]:
        """All of them by name; classes of durations are not cumulative."""
        classes = zip((*BUCKETS_S, ABOVE), self._batches, strict=True)
        return {
            **{f"batches_{bound}": count for bound, count in classes},
            "batch_s": self._batch_s,
            "entity_lookups": self._lookups,
            "entity_misses": self._misses,
        }
