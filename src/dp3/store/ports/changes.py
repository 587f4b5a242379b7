"""Notice of commits, for parts that wait for something to change."""

from typing import Protocol


class Changes(Protocol):
    """Notice of commits, for parts that wait for something to change."""

    def version(self) -> int:
        """A cheap token that differs whenever another connection or process has committed since."""
        ...
