"""Paces: the size of the next batch, of the next slice, and of the next pause."""

LOCK_TARGET_S = 0.025
"""Half of the 50 ms for which a write lock may be held: the other half is for a machine that is busy."""

SMALLEST, LARGEST = 4 << 10, 4 << 20
FIRST = 64 << 10


class Pace:
    """Bytes of log to read for the next batch, so that a batch keeps its time limits.

    Grows by at most half and shrinks at once when a batch took longer than its targets.
    """

    def __init__(self, batch_limit_s: float) -> None:
        self._batch_limit_s = batch_limit_s
        self.bytes = FIRST

    def learn(self, size: int, process_s: float, commit_s: float) -> None:
        """Take into account a batch of `size` bytes."""
        factor = min(self._batch_limit_s / max(process_s, 1e-6), LOCK_TARGET_S / max(commit_s, 1e-6), 1.5)
        if factor < 1 or size >= self.bytes // 2:
            self.bytes = min(max(int(min(size, self.bytes) * factor), SMALLEST), LARGEST)


class Nap:
    """Waiting that starts short and grows while nothing happens: 1, 2, 4 … 20 ms."""

    def __init__(self, shortest_s: float = 0.001, longest_s: float = 0.02) -> None:
        self._shortest_s = shortest_s
        self._longest_s = longest_s
        self._next_s = shortest_s

    def reset(self) -> None:
        self._next_s = self._shortest_s

    def next_s(self) -> float:
        """Seconds to wait now."""
        current, self._next_s = self._next_s, min(self._next_s * 2, self._longest_s)
        return current


class SlicePace:
    """The number of things to do in one slice of time."""

    def __init__(self, first: int, most: int, target_s: float) -> None:
        self._most = most
        self._target_s = target_s
        self.size = min(first, most)

    def learn(self, done: int, took_s: float) -> None:
        """Take into account a slice. One that had to wait makes the next ones half as large at most: small
        ones cost more for each thing."""
        fitting = int(done * self._target_s / max(took_s, 1e-6))
        if fitting < self.size or done >= self.size:
            self.size = max(1, self.size // 2, min(fitting, self.size * 2, self._most))
