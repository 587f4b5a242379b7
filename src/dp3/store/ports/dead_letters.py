"""Dead letters: what failed and was kept."""

from typing import Any, NamedTuple, Protocol


class DeadLetter(NamedTuple):
    """A failure and its reason. `kind`: `hook`, `result` (what a hook returned), `task`, `generation` or
    `entry`. `task` is `encode_tasks([task])`, or empty when the log could not be decoded; `context`
    JSON-friendly detail such as the attribute."""

    time: int
    kind: str
    module: str
    hook: str
    partition: int
    etype: str
    eid: str
    reason: str
    traceback: str
    task: bytes
    context: dict[str, Any]


class DeadLetters(Protocol):
    """Failures that were kept, up to a limit; more are only counted. Added and removed by batches."""

    def page(
        self, after: int, limit: int, filters: dict[str, str] | None = None
    ) -> list[tuple[int, DeadLetter]]:
        """Dead letters with their ids, ascending, of those with an id > `after`; `filters` on kind, module,
        hook, etype, eid. Raises `ValueError` for other filters."""
        ...

    def get(self, id: int) -> DeadLetter | None:
        """One dead letter; None if it was removed."""
        ...

    def count(self) -> int:
        """Number of those that are kept."""
        ...
