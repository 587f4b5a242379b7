"""Questions about the latest snapshots. All raise `QueryTooSlow` instead of reading for over 5 s."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from dp3.store.ports.snapshots import Key


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple["Where", ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple["Where", ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: "Where"


@dataclass(frozen=True, slots=True)
class Has:
    """Some key exists at the path."""

    path: str


@dataclass(frozen=True, slots=True)
class OneOf:
    """Some key at the path equals one of these."""

    path: str
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Between:
    """Some key at the path, of the same kind as the bounds (number, text or bytes), lies within them.
    At least one bound is given."""

    path: str
    low: Key | None = None
    high: Key | None = None
    low_open: bool = False
    high_open: bool = False


@dataclass(frozen=True, slots=True)
class TextMatches:
    """`test` holds for some text key at the path; asked once for each distinct key. If `prefix` is not empty
    every matching key begins with it. `in_lines` gets many keys joined by line ends: where it fails, `test`
    fails for all of them and is not asked."""

    path: str
    test: Callable[[str], bool]
    prefix: str = ""
    in_lines: Callable[[str], bool] | None = None


@dataclass(frozen=True, slots=True)
class DocMatches:
    """`test` holds for the entity's latest snapshot; asked for each candidate. It gets the run time
    (µs) of the row and its stored form. Slow: everything that the index can not answer."""

    test: Callable[[int, bytes], bool]


Where = And | Or | Not | Has | OneOf | Between | TextMatches | DocMatches


EVERYTHING = And(())


class Order(NamedTuple):
    """Ascending puts entities without a key at the path first, descending last; of several keys the smallest
    (descending: the largest) counts. Ties, and an empty order, are by entity id."""

    path: str
    descending: bool = False


class Found(NamedTuple):
    """The latest snapshot of an entity. `run_time` is that of the newest run that covers it, or of the run of
    its row while that is still at work. `cursor` continues after it."""

    eid: str
    run_time: int
    doc: bytes
    cursor: str


class Queries(Protocol):
    """Questions about the latest snapshots. All raise `QueryTooSlow` instead of reading for over 5 s."""

    def find(
        self,
        etype: str,
        where: Where = EVERYTHING,
        order: Sequence[Order] = (),
        skip: int = 0,
        limit: int | None = 20,
        after: str | None = None,
    ) -> list[Found]:
        """Matching entities; `after` is the cursor of the last row of the page before, for the same
        question. Raises `ValueError` for a cursor of another question."""
        ...

    def count(self, etype: str, where: Where = EVERYTHING) -> int: ...

    def distinct(self, etype: str, path: str) -> Mapping[Key, int]:
        """Key → number of entities (of elements, for lists) at the path."""
        ...

    def latest(self, etype: str, eids: Sequence[str]) -> dict[str, Found]:
        """Latest snapshots of those of the entities that have one, in a constant number of queries."""
        ...
