"""Messages to workers, and their results."""

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol


class ControlMessage(NamedTuple):
    """A request to a worker. Ids grow with time."""

    id: int
    action: str
    args: dict[str, Any]


class ControlProgress(NamedTuple):
    """Progress of a worker with a message that takes long: the report that the sender gets, and the worker's
    checkpoint. Both are JSON-friendly and mean nothing to the state."""

    message: int
    report: dict[str, Any]
    checkpoint: dict[str, Any]


class Control(Protocol):
    """Messages to workers, and their results. A result comes with the batch that does what was asked."""

    def send(self, worker: int, action: str, args: dict[str, Any]) -> int:
        """Leave a message for a worker; returns its id. Raises `ControlFull` or `StoreFull`."""
        ...

    def pending(self, worker: int) -> list[ControlMessage]:
        """Messages that a worker has not done yet, in the order of sending."""
        ...

    def progress(self, ids: Iterable[int]) -> list[ControlProgress]:
        """The latest progress, or that in the end, of those messages that take long and were begun."""
        ...

    def results(self, ids: Iterable[int]) -> dict[int, dict[str, Any]]:
        """Results of those messages that are done; they can be asked for within 24 hours."""
        ...
