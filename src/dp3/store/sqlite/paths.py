"""What is known of the paths of a type before a question is compiled."""

from typing import NamedTuple

from dp3.sqlite import Statements
from dp3.store.sqlite.sql_builder import TRUE, SqlBuilder

EID = "eid"
"""Every entity with a newest row has exactly one key at this path."""


class Sizes(NamedTuple):
    """How many keys a path has and how many entities have any; deleted ones count until they are removed."""

    keys: int
    entities: int

    @property
    def single(self) -> bool:
        """No entity has several keys."""
        return self.keys == self.entities


class Paths:
    """Numbers and sizes of the paths of the type that a question is about."""

    def __init__(self, question: SqlBuilder, sql: Statements) -> None:
        self._connection = question.connection
        self._etype = question.etype
        self._sql = sql
        self._ids: dict[str, int] = {}
        self._sizes: dict[str, Sizes] = {}
        some = self._connection.execute(sql["any_garbage"]).get
        self.not_deleted: str = sql["not_deleted"] if some else TRUE
        """SQL that holds for an entity `e` that is not deleted."""

    def id(self, path: str) -> int:
        """The number of a path; 0, which no key has, if there is none."""
        if path not in self._ids:
            found = self._connection.execute(self._sql["path"], (self._etype, path)).get
            self._ids[path] = found or 0
        return self._ids[path]

    def sizes(self, path: str) -> Sizes:
        """How many keys and entities a path has."""
        if path not in self._sizes:
            row = self._connection.execute(self._sql["sizes"], (self.id(path),)).fetchone()
            self._sizes[path] = Sizes(*row) if row else Sizes(0, 0)
        return self._sizes[path]
