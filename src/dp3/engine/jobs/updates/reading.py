"""Reads the entities that a batch visits, a page at a time."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from dp3.engine.jobs.updates.cycle import end_key, visited
from dp3.store.ports.entities import EncodedProfile
from dp3.store.ports.state import State
from dp3.store.ports.updates import UpdateGroup, UpdateProgress


class Subject(NamedTuple):
    """An entity to visit: `eid` as text; `profile` is empty if the hooks get no record."""

    key: int
    eid: str
    profile: EncodedProfile = ""


@dataclass(slots=True)
class Page:
    """Entities, and for each partition touched where the batch is after them and how many of them it has."""

    subjects: list[Subject] = field(default_factory=list)
    rows: list[tuple[UpdateProgress, int]] = field(default_factory=list)


class PageReader:
    """The pages of a batch, partition after partition. For one thread at a time, whichever.

    `rows`: where the batch is in the partitions in which it is under way.
    """

    def __init__(
        self, state: State, group: UpdateGroup, rows: Iterable[UpdateProgress], records: bool
    ) -> None:
        self._state = state
        self._group = group
        self._rows = deque(rows)
        self._records = records

    def next(self, size: int) -> Page | None:
        """The next page of at most `size` entities; None after the last one."""
        if not self._rows:
            return None
        page, room = Page(), size
        while self._rows and room:
            row = self._rows.popleft()
            wanted = min(room, row.target - row.done)
            found = self._read(row, wanted)
            row = visited(row, [subject.key for subject in found], wanted)
            page.subjects += found
            page.rows.append((row, len(found)))
            room -= len(found)
            if row.open:
                self._rows.appendleft(row)
        if self._records:
            page.subjects = self._with_profiles(page.subjects)
        return page

    def _read(self, row: UpdateProgress, limit: int) -> list[Subject]:
        if not limit:
            return []
        end = end_key(row.partition)
        found = self._state.entities.between(self._group.etype, row.after, end, limit)
        return [Subject(key, eid) for key, eid in found]

    def _with_profiles(self, subjects: list[Subject]) -> list[Subject]:
        """Those that were not deleted meanwhile."""
        profiles = self._state.entities.profiles([subject.key for subject in subjects], whole=True)
        return [
            subject._replace(profile=profiles[subject.key]) for subject in subjects if subject.key in profiles
        ]
