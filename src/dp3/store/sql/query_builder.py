"""One query in one session: its parameters, its paths, and its time limit."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import msgspec

from dp3.store.ports.errors import QueryTooLarge, QueryTooSlow
from dp3.store.ports.snapshots import Key
from dp3.store.sql.session import Session, Values

TRUE, FALSE = "TRUE", "FALSE"

EID = "eid"
"""Every entity with a newest row has exactly one key at this path."""

MAX_PARAMETERS = 30_000
"""SQLite takes 32 766."""

_texts = msgspec.json.Decoder(list[str]).decode


class QueryBuilder(ABC):
    """Names for the SQL of a query: of its parameters, its tests, and the paths of its entity type. `sql` has
    the statements of `queries.sql`, whose pieces in braces are still to be filled in. Keys are given to
    statements, and come from them, as the engine stores them."""

    unindexed_key: str
    """The key `k.key` where no index is to be used for it."""

    no_limit: str
    """What stands after `LIMIT` when there is none."""

    def __init__(self, session: Session, sql: Mapping[str, str], etype: str, limit_s: float) -> None:
        self.session = session
        self.sql = sql
        self.etype = etype
        self._limit_s = limit_s
        self._deadline = time.monotonic() + limit_s
        self._parameters: dict[str, Any] = {}
        self._paths: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._sizes: dict[int, tuple[int, int]] = {}
        some = session.value("queries.any_garbage")
        self.not_deleted: str = sql["not_deleted"] if some else TRUE
        """SQL that holds for an entity `e` that is not deleted."""

    def parameter(self, value: Any) -> str:
        """The name of a parameter with a value; a key is given as it is stored."""
        if len(self._parameters) >= MAX_PARAMETERS:
            raise QueryTooLarge(f"a question may have up to {MAX_PARAMETERS} values; ask several questions")
        name = f"q{len(self._parameters)}"
        self._parameters[name] = value
        return self._placeholder(name)

    def key(self, key: Key) -> str:
        """The name of a parameter with a key."""
        return self.parameter(self.stored(key))

    def path(self, path: str) -> str:
        """The name of a parameter with the number of a path."""
        number = self.number(path)
        if number not in self._names:
            self._names[number] = self.parameter(number)
        return self._names[number]

    def number(self, path: str) -> int:
        """The number of a path; 0, which no key has, if there is none."""
        if path not in self._paths:
            self._paths[path] = self.session.value("queries.path", (self.etype, path)) or 0
        return self._paths[path]

    def sizes(self, path: str) -> tuple[int, int]:
        """(keys at a path, entities that have any); deleted ones count until they are removed.
        Where these are equal no entity has several keys."""
        number = self.number(path)
        if number not in self._sizes:
            self._sizes[number] = self.session.value("queries.sizes", (number,)) or (0, 0)
        return self._sizes[number]

    def rows(self, sql: str) -> Sequence[Any]:
        """Run a statement made of these names."""
        return self.ask(sql, self._parameters)

    def text_after(self, path: int, first: str, end: str | bytes, rows: int) -> str | None:
        """The text so many rows further at a path (its number), in a range; None if there are not so many."""
        found = self.session.value("queries.text_after", (path, self.stored(first), self.stored(end), rows))
        return None if found is None else str(self.key_of(found))

    def texts(self, path: int, first: str, end: str | bytes) -> list[str]:
        """The texts of all rows at a path, in a range."""
        return _texts(self.session.value("queries.texts", (path, self.stored(first), self.stored(end))))

    def is_over(self) -> bool:
        """True when the time for it has passed."""
        return time.monotonic() > self._deadline

    def too_slow(self) -> QueryTooSlow:
        """The error to raise then."""
        return QueryTooSlow(
            f"the question about {self.etype!r} took longer than {self._limit_s:g} s and was stopped; narrow "
            "it by an equality, a range or a prefix, or ask for fewer entities"
        )

    # -- what engines do in their own way ------------------------------------------------------------------
    @abstractmethod
    def limited(self) -> AbstractContextManager[None]:
        """A block in which the statements of the query run; raises `QueryTooSlow` when its time is over."""

    @abstractmethod
    def ask(self, sql: str, values: Values) -> Sequence[Any]:
        """Run any statement of `sql`, once its pieces are filled in."""

    @abstractmethod
    def stored(self, key: Key) -> Any:
        """A key as it is stored."""

    @abstractmethod
    def key_of(self, stored: Any) -> Key:
        """The inverse of `stored`."""

    @abstractmethod
    def among(self, keys: Sequence[Key]) -> str | None:
        """The condition after a key that it is one of many, if it can be written for these."""

    @abstractmethod
    def function(self, test: Callable[[Any], bool]) -> str | None:
        """The name of an SQL function that calls `test` with a key, where the engine has that."""

    @abstractmethod
    def _placeholder(self, name: str) -> str:
        """A parameter as it stands in statements."""
