"""How much history was read."""

import threading


class RowsRead:
    """Rows of history (segments, and data-points that are not packed) that were read for profiles, added once
    for each profile, by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows = 0

    def __call__(self) -> int:
        """All until now."""
        return self._rows

    def add(self, rows: int) -> None:
        """So many more were read."""
        with self._lock:
            self._rows += rows
