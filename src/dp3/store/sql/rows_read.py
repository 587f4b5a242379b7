"""Counting of the history that is read."""

import threading

from dp3.store.ports.entities import RowsRead


class RowsReadCounter:
    """Counts for all threads; added to once for each profile or attribute, not for each row."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.total = RowsRead(0, 0)

    def add(self, rows: int, whole: int = 0) -> None:
        """So many rows more were read, and all that is packed of so many attributes."""
        with self._lock:
            self.total = RowsRead(self.total.rows + rows, self.total.whole + whole)
