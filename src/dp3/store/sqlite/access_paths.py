"""The ways through the entities in the order that a question wants."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress

from dp3.sqlite import Statements
from dp3.store.ports.queries import Order
from dp3.store.sqlite.conditions import COUNTED, Condition
from dp3.store.sqlite.cursors import Place
from dp3.store.sqlite.paths import EID, Paths
from dp3.store.sqlite.sql_builder import FALSE, TRUE, SqlBuilder

ASK_COST = 3.0
WALK_COST = 1.5
"""µs for each candidate that is asked, fetched its order and sorted, and for each entity passed on a walk."""

SAFE = 6_000
"""So many candidates are done in 20 ms. A walk may find nothing for long, so it is no choice then."""


MISSING = "NULL"


@dataclass(frozen=True, slots=True)
class _Column:
    """SQL of one column of the order."""

    sql: str
    descending: bool = False


class AccessPaths:
    """Makes the SELECTs that together, one after the other, give the answer in its order.

    Their rows are: entity, the keys of the order, the key of the eid.
    """

    def __init__(
        self,
        question: SqlBuilder,
        sql: Statements,
        paths: Paths,
        condition: Condition,
        order: Sequence[Order],
        after: Place | None,
    ) -> None:
        self._question = question
        self._sql = sql
        self._paths = paths
        self._condition = condition
        self._order = order
        self._after = after
        self._places = [] if after is None else [question.parameter(value) for value in after]

    def selects(self, wanted: int | None) -> Iterator[str]:
        """`{limit}` is left open in each; `wanted` is how many rows are needed at most."""
        if self._condition.candidates is not None and self._asking_is_cheaper(wanted):
            yield self._among()
        elif not self._order:
            yield self._walk_eids()
        else:
            yield from self._walk_with_missing(self._order[0])

    def _asking_is_cheaper(self, wanted: int | None) -> bool:
        candidates = self._condition.weight
        if wanted is None or candidates <= SAFE:
            return True
        everything = max(self._paths.sizes(EID).entities, candidates)
        passed = min(everything, wanted * everything // candidates)
        return candidates <= COUNTED and candidates * ASK_COST <= passed * WALK_COST

    def _among(self) -> str:
        among = {"candidates": self._condition.entities()}
        columns = self._columns(self._order)
        return self._select("among", among, columns, [self._condition.rest], self._key_of(Order(EID)))

    def _walk_with_missing(self, first: Order) -> Iterator[str]:
        """Entities without a key at the first path come first, descending last."""
        found = self._walk_along(first)
        missing = self._missing(first)
        parts = [found, missing] if first.descending else [missing, found]
        after_first = self._after is not None and (self._after[0] is None) == first.descending
        yield from filter(None, parts[1:] if after_first else parts)

    def _missing(self, first: Order) -> str:
        if self._paths.sizes(first.path).entities == self._paths.sizes(EID).entities:
            return ""
        place = self._question.parameter(self._paths.id(first.path))
        has = self._sql["has_key"].format(path=place, holds=TRUE)
        columns = [_Column(MISSING, first.descending), *self._columns(self._order[1:])]
        return self._walk(EID, columns, [f"NOT {has}", self._condition.holds], "e.key")

    def _walk_along(self, first: Order) -> str:
        columns = [_Column("e.key", first.descending), *self._columns(self._order[1:])]
        holds = [self._condition.holds]
        if self._paths.sizes(first.path).single:
            holds += [
                sql.replace("k.key", "e.key") for path, sql in self._condition.tests if path == first.path
            ]
        else:
            holds.append(self._sql["only_largest" if first.descending else "only_smallest"])
        if self._after is not None and self._after[0] is not None:
            holds.append(f"e.key {'<=' if first.descending else '>='} {self._places[0]}")
        return self._walk(
            first.path, columns, holds, "e.key" if first.path == EID else self._key_of(Order(EID))
        )

    def _walk_eids(self) -> str:
        begin = [f"e.key >= {self._places[0]}"] if self._places else []
        return self._walk(EID, [], [self._condition.holds, *begin], "e.key")

    def _walk(self, path: str, columns: list[_Column], holds: list[str], eid: str) -> str:
        place = self._question.parameter(self._paths.id(path))
        return self._select("walk", {"path": place}, columns, holds, eid)

    def _columns(self, order: Sequence[Order]) -> list[_Column]:
        return [_Column(self._key_of(by), by.descending) for by in order]

    def _select(
        self, name: str, values: dict[str, str], columns: Sequence[_Column], holds: Sequence[str], eid: str
    ) -> str:
        every = [*columns, _Column(eid), _Column("e.entity")]
        names = [f"o{number}" for number in range(len(every) - 1)]
        shown = [f"{column.sql} AS {name}" for column, name in zip(every, names, strict=False)]
        names.append("e.entity")
        directions = ["DESC" if column.descending else "ASC" for column in every]
        # A constant in the order would keep SQLite from using that of the index.
        varying = [column.sql != MISSING for column in every]
        by = [
            f"{name} {direction}"
            for name, direction in compress(zip(names, directions, strict=True), varying)
        ]
        conditions = [*holds, self._paths.not_deleted, self._beyond(names, every)]
        parts = {"columns": ", ".join(shown), "holds": _all(conditions), "order": ", ".join(by)}
        return self._sql[name].format(**values, **parts, limit="{limit}")

    def _key_of(self, by: Order) -> str:
        place = self._question.parameter(self._paths.id(by.path))
        return self._sql["largest" if by.descending else "smallest"].format(path=place)

    def _beyond(self, names: Sequence[str], columns: Sequence[_Column]) -> str:
        """Only what comes after the cursor: equal in some first columns, then beyond it in the next."""
        if self._after is None:
            return TRUE
        cases: list[str] = []
        equal: list[str] = []
        for name, column, place, value in zip(names, columns, self._places, self._after, strict=True):
            cases.append(_all([*equal, _beyond(name, column.descending, place, value is None)]))
            equal.append(f"{name} IS {place}")
        return "(" + " OR ".join(cases) + ")"


def _beyond(name: str, descending: bool, place: str, missing: bool) -> str:
    """Missing keys come first, descending last."""
    if descending:
        return FALSE if missing else f"({name} < {place} OR {name} IS NULL)"
    return f"{name} IS NOT NULL" if missing else f"{name} > {place}"


def _all(conditions: Sequence[str]) -> str:
    return " AND ".join(f"({condition})" for condition in conditions if condition != TRUE) or TRUE
