"""Messages to workers, and their results."""

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol


class ControlMessage(NamedTuple):
    id: int
    action: str
    args: dict[str, Any]
    result: dict[str, Any] | None


class ControlProgress(NamedTuple):
    """How far a worker is with a message that takes long: what the sender is told, and an opaque mark."""

    message: int
    shown: dict[str, Any]
    mark: dict[str, Any]


class Control(Protocol):
    """Messages to workers, and their results."""

    def send(self, worker: int, action: str, args: dict[str, Any]) -> int:
        """Leave a message for a worker; returns its id. Raises `ControlFull` or `StoreFull`."""
        ...

    def pending(self, worker: int) -> list[ControlMessage]: ...

    def progress(self, ids: Iterable[int]) -> list[ControlProgress]:
        """How far workers are, or were in the end, with those messages that take long and were begun."""
        ...

    def results(self, ids: Iterable[int]) -> dict[int, dict[str, Any]]:
        """Results of those messages that are done."""
        ...
