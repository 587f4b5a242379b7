"""What lifetimes work with."""

from typing import Protocol

from dp3.store.lifetimes import LifetimeStore
from dp3.store.port import Store


class State(Store, LifetimeStore, Protocol):
    """The state with all that lifetimes need of it: one object."""


def reached_by_all(store: Store) -> dict[int, int]:
    """The offset that all partitions of all workers have reached, by lane."""
    reached: dict[int, int] = {}
    for _, lane, offset in store.positions():
        reached[lane] = min(reached.get(lane, offset), offset)
    return reached
