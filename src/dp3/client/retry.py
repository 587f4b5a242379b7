"""How long and how often a request is tried."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retry:
    """Waits of `first_s`, twice that, … at most `longest_s` seconds between attempts, for `total_s` in all.

    Each wait is shortened at random by up to a half, so that many clients do not come back at once.
    """

    first_s: float = 0.1
    longest_s: float = 5.0
    total_s: float = 60.0

    def wait_s(self, attempt: int, asked_s: float | None = None) -> float:
        """Seconds to wait after attempt number `attempt` (from 1); never less than the server asked for."""
        longest = min(self.longest_s, self.first_s * 2.0 ** min(attempt - 1, 30))
        return max(longest * random.uniform(0.5, 1.0), asked_s or 0.0)
