"""Waits for what the program does by itself, and notes the memory that it takes meanwhile."""

import time
from collections.abc import Callable

from dp3.bench.failure import BenchFailed
from dp3.bench.server import Server

LONGEST_S = 1_800
POLL_S = 0.01


class Watch:
    """Watches a worker that does one job. `rss_mb`: the most memory that it had when it was looked at."""

    def __init__(self, server: Server) -> None:
        self._worker = server.processes()["worker 0"]
        self.rss_mb = 0.0
        self._computed_before = self._computed_s()
        self._look()

    def until(self, what: str, is_so: Callable[[], bool], limit_s: float = LONGEST_S) -> float:
        """Wait until something is so; the time (s since 1970) when it was. Raises `BenchFailed`."""
        end = time.monotonic() + limit_s
        while not is_so():
            if time.monotonic() > end:
                raise BenchFailed(f"{what}: not so within {limit_s:.0f} s")
            self._look()
            time.sleep(POLL_S)
        now = time.time()
        self._look()
        return now

    def cpu_s(self) -> float:
        """Seconds that the worker has computed since it is watched; others change them little."""
        return round(self._computed_s() - self._computed_before, 2)

    def _computed_s(self) -> float:
        times = self._worker.cpu_times()
        return float(times.user + times.system)

    def _look(self) -> None:
        self.rss_mb = max(self.rss_mb, round(self._worker.memory_info().rss / 2**20, 1))
