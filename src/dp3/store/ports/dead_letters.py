"""What failed and was kept."""

from typing import Any, NamedTuple, Protocol


class DeadLetter(NamedTuple):
    """What failed and why. `kind`: `hook`, `result` (what a hook returned), `task`, `generation` or `entry`.
    `task` is `encode_tasks([task])`, or empty when the log could not be decoded; `context` JSON-friendly
    detail such as the attribute."""

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


class StoredDeadLetter(NamedTuple):
    id: int
    letter: DeadLetter


class DeadLetters(Protocol):
    """What failed and was kept."""

    def page(self, after: int, limit: int, filters: dict[str, str] | None = None) -> list[StoredDeadLetter]:
        """Dead letters with an id > `after`, ascending; `filters` on kind, module, hook, etype, eid."""
        ...

    def get(self, id: int) -> StoredDeadLetter | None: ...

    def count(self) -> int: ...
