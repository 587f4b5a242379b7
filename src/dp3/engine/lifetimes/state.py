"""What lifetimes work with."""

from typing import Protocol

from dp3.store.lifetimes import LifetimeStore
from dp3.store.port import Store


class State(Store, LifetimeStore, Protocol):
    """The state with all that lifetimes need of it: one object."""
