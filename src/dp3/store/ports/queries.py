"""Queries about the latest snapshots, and the conditions that they are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from dp3.store.ports.snapshots import Key


@dataclass(frozen=True, slots=True)
class And:
    """All of the conditions hold."""

    parts: tuple["Where", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One of the conditions holds."""

    parts: tuple["Where", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The condition does not hold."""

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
    """A regular expression occurs in some text key at the path. `pattern` is in the dialect of RE2, which
    takes a time linear in the text; `flags` is a part of `ims`, as in Perl. If `prefix` is not empty every
    matching key begins with it."""

    path: str
    pattern: str
    flags: str = ""
    prefix: str = ""


Where = And | Or | Not | Has | OneOf | Between | TextMatches


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
    """Queries about the latest snapshots. All raise `QueryTooSlow` instead of reading for over 5 s, and
    `QueryTooLarge` for conditions that are nested too deep or have too many values."""

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
        query. Raises `ValueError` for a cursor of another query."""
        ...

    def count(self, etype: str, where: Where = EVERYTHING) -> int:
        """Number of entities that match."""
        ...

    def any_keys(self, etype: str, paths: Sequence[str]) -> bool:
        """True if any entity of a type has a key at one of these paths. Cheap: nothing is searched."""
        ...

    def ever_had_keys(self, etype: str, paths: Sequence[str]) -> bool:
        """True if the latest snapshot of any entity of a type ever had a key at one of these paths or, after
        a dot, below it. Cheap, as `any_keys`."""
        ...

    def first_steps(self, etype: str) -> list[str]:
        """Names with which paths begin at which there are keys, some of many."""
        ...

    def distinct(self, etype: str, path: str) -> Mapping[Key, int]:
        """Key → number of entities (of elements, for lists) at the path."""
        ...

    def latest(self, etype: str, eids: Sequence[str]) -> dict[str, Found]:
        """Latest snapshots of those of the entities that have one, in a constant number of queries."""
        ...
