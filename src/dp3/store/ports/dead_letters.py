"""Dead letters: what failed and was kept."""

from collections.abc import Mapping
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


FILTERS = ("kind", "module", "hook", "etype", "eid", "reason")
"""Names of filters: fields of dead letters, which must be equal; of the reason, a part."""


class LetterGroup(NamedTuple):
    """Dead letters, so many, of one hook for one reason, that of the `newest` (its id). They have `reasons`
    different reasons, which then begin alike, up to a colon: what follows may name the entity. `first` and
    `last` are the times (µs) of the earliest and the latest."""

    kind: str
    module: str
    hook: str
    reason: str
    reasons: int
    letters: int
    first: int
    last: int
    newest: int


class DeadLetters(Protocol):
    """Failures that were kept, up to a limit; more are only counted. Added and removed by batches.

    `filters` have names of `FILTERS`; all methods that take some raise `ValueError` for others."""

    def page(
        self, after: int, limit: int, filters: Mapping[str, str] | None = None, *, newest_first: bool = False
    ) -> list[tuple[int, DeadLetter]]:
        """Dead letters with their ids, ascending, of those with an id > `after`; or descending, of those with
        an id < `after`, all if it is 0."""
        ...

    def groups(self, limit: int, filters: Mapping[str, str] | None = None) -> list[LetterGroup]:
        """Dead letters by hook and reason, at most `limit` groups, that with the newest first. A reason that
        at least a tenth of those have that begin like it, up to a colon, is a group of its own."""
        ...

    def get(self, id: int) -> DeadLetter | None:
        """One dead letter; None if it was removed."""
        ...

    def count(self, filters: Mapping[str, str] | None = None) -> int:
        """Number of those that are kept."""
        ...
