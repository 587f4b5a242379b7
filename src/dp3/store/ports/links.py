"""Links between entities, from both ends."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol


class Edge(NamedTuple):
    """A stored link; its ends are nodes: (entity type, eid) that occur in links, existing or not."""

    attr: int
    source: int
    target: int
    until: int


class Node(NamedTuple):
    """An end of links. `entity` is the key of the entity, 0 if it does not exist."""

    id: int
    etype: int
    eid: str
    entity: int


class Links(Protocol):
    """Links between entities, from both ends."""

    def edges(
        self, attrs: Sequence[int], until_after: int, after: tuple[int, int, int], limit: int
    ) -> list[Edge]:
        """Links through these relations that hold after `until_after` (µs), in the order of (attr, source,
        target), of those after such a place."""
        ...

    def nodes(self, ids: Sequence[int]) -> dict[int, Node]:
        """Nodes by id. Lets other threads compute meanwhile, as `Entities.profiles` does."""
        ...

    def incoming(
        self, targets: Sequence[tuple[int, str]], attrs: Sequence[int], at: int
    ) -> dict[tuple[int, str], list[tuple[int, int, str]]]:
        """(type, eid) of a target → (attr, source type, source eid) of existing sources whose link holds at
        `at` (until > at), sorted."""
        ...

    def last_change(self) -> int:
        """The number of the last commit that changed links."""
        ...

    def targets_changed(
        self, attrs: Sequence[int], change: int, after: int, until: int
    ) -> Iterable[tuple[int, str]]:
        """Targets of links through these relations that ended by themselves in (after, until] (µs), or that
        commits above the number `change` made, replaced or removed (also with their source). The commit
        counts, not the log entry, so nothing is lost while workers are behind."""
        ...
