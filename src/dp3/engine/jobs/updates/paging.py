"""How many entities to visit between two commits."""

from dp3.engine.jobs.updates.reading import Page

FIRST, LARGEST = 50, 500

PAGE_S = 1.0
"""Hooks of a page are called again if the worker ends before the commit: so much of their time is lost."""

PAGE_BYTES = 1_500_000
"""Of profiles in a page."""

PAGE_TASKS = 2_000
"""Of hooks in a page: some 20 ms of writing."""


class PageSize:
    """Adapts to what pages took: shrinks at once, grows by half, to at most `most`."""

    def __init__(self, most: int = LARGEST) -> None:
        self._most = most
        self.entities = min(FIRST, most)

    def learn(self, page: Page, wall_s: float, tasks: int) -> None:
        """Take into account how long the hooks of a page took and how many tasks they returned."""
        size = sum(len(subject.profile) for subject in page.subjects)
        share = max(wall_s / PAGE_S, size / PAGE_BYTES, tasks / PAGE_TASKS, 1e-6)
        fitting = int(len(page.subjects) / share)
        if fitting < self.entities or len(page.subjects) >= self.entities:
            self.entities = max(1, min(fitting, self.entities + self.entities // 2 + 1, self._most))
