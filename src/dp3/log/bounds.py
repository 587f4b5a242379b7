"""Where in both lanes of the log a moment is."""

from dp3.log.port import Lane, Log


class LaneBounds:
    """For one thread; what was found last is where the next search begins."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._found = dict.fromkeys(Lane, (0, 0))

    def until(self, moment: int) -> tuple[int, int]:
        """Offsets in the main and the derived lane: everything up to them was appended until the moment (µs),
        all that follows later."""
        return self._last(Lane.MAIN, moment), self._last(Lane.DERIVED, moment)

    def _last(self, lane: Lane, moment: int) -> int:
        found_for, low = self._found[lane]
        if found_for == moment:
            return low
        if found_for > moment:
            low = 0
        high = low if self._follows_later(lane, low, moment) else self._log.head(lane).offset
        while low < high:
            middle = (low + high) // 2
            if self._follows_later(lane, middle, moment):
                high = middle
            else:
                low = middle + 1
        self._found[lane] = (moment, low)
        return low

    def _follows_later(self, lane: Lane, offset: int, moment: int) -> bool:
        """Whether what follows an offset, if anything, was appended after the moment."""
        time = self._log.append_time_after(lane, offset)
        return time is None or time > moment
