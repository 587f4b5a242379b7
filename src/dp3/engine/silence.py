"""The time for which others have given no sign of life."""

from collections.abc import Hashable

from dp3.clock import Clock


class Silence:
    """Measures it by the monotonic clock, so a clock that is set makes nobody look dead, or alive."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[Hashable, tuple[Hashable, int]] = {}

    def of_us(self, who: Hashable, sign: Hashable, age_us: int) -> int:
        """The time (µs) for which the last sign of life is the same. `age_us` is how old it is by the clock,
        which counts when it is seen first."""
        now = self._clock.monotonic_us()
        known, since = self._seen.get(who, (None, now - max(age_us, 0)))
        if known is not None and known != sign:
            since = now
        self._seen[who] = (sign, since)
        return now - since
