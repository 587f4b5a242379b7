"""Access paths: how the entities of an answer are found, in its order."""

from collections.abc import Iterator, Sequence
from itertools import compress

from dp3.store.ports.queries import Order
from dp3.store.ports.snapshots import Key
from dp3.store.sql.conditions import COUNTED, Condition
from dp3.store.sql.query_builder import EID, FALSE, TRUE, QueryBuilder

Place = tuple[Key | None, ...]
"""The keys of the order and the key of the eid, as they are stored, and the entity of the last row of a
page."""

CANDIDATE_COST = 3.0
SCAN_COST = 1.5
"""µs for each candidate that is checked, fetched its order and sorted, and for each entity passed in a
scan."""

SAFE = 6_000
"""So many candidates are done in 20 ms. A scan may find nothing for long, so it is no choice then."""


MISSING = "NULL"


_Column = tuple[str, bool]
"""SQL of one column of the order, and whether that is descending."""


class AccessPaths:
    """Makes the SELECTs that together, one after the other, give the answer in its order.

    Their rows are: entity, the keys of the order, the key of the eid.
    """

    def __init__(
        self,
        builder: QueryBuilder,
        condition: Condition,
        order: Sequence[Order],
        after: Place | None,
    ) -> None:
        self._builder = builder
        self._sql = builder.sql
        self._condition = condition
        self._order = order
        self._after = after
        self._places = [] if after is None else [builder.parameter(value) for value in after]

    def selects(self, wanted: int | None) -> Iterator[str]:
        """`{limit}` is left open in each; `wanted` is how many rows are needed at most."""
        if self._condition.candidates is not None and self._candidates_are_cheaper(wanted):
            yield self._among()
        elif not self._order:
            yield self._scan_eids()
        else:
            yield from self._scan_with_missing(self._order[0])

    def _candidates_are_cheaper(self, wanted: int | None) -> bool:
        candidates = self._condition.weight
        if wanted is None or candidates <= SAFE:
            return True
        everything = max(self._builder.sizes(EID)[1], candidates)
        passed = min(everything, wanted * everything // candidates)
        return candidates <= COUNTED and candidates * CANDIDATE_COST <= passed * SCAN_COST

    def _among(self) -> str:
        among = {"candidates": self._condition.entities()}
        columns = self._columns(self._order)
        return self._select("among", among, columns, [self._condition.rest], self._key_of(Order(EID)))

    def _scan_with_missing(self, first: Order) -> Iterator[str]:
        """Entities without a key at the first path come first, descending last."""
        found = self._scan_along(first)
        missing = self._missing(first)
        parts = [found, missing] if first.descending else [missing, found]
        after_first = self._after is not None and (self._after[0] is None) == first.descending
        yield from filter(None, parts[1:] if after_first else parts)

    def _missing(self, first: Order) -> str:
        if self._builder.sizes(first.path)[1] == self._builder.sizes(EID)[1]:
            return ""
        place = self._builder.path(first.path)
        has = self._sql["has_key"].format(path=place, holds=TRUE)
        columns = [(MISSING, first.descending), *self._columns(self._order[1:])]
        return self._scan(EID, columns, [f"NOT {has}", self._condition.holds], "e.key")

    def _scan_along(self, first: Order) -> str:
        columns = [("e.key", first.descending), *self._columns(self._order[1:])]
        holds = [self._condition.holds]
        keys, entities = self._builder.sizes(first.path)
        if keys == entities:
            holds += [
                sql.replace("k.key", "e.key") for path, sql in self._condition.tests if path == first.path
            ]
        else:
            holds.append(self._sql["only_largest" if first.descending else "only_smallest"])
        if self._after is not None and self._after[0] is not None:
            holds.append(f"e.key {'<=' if first.descending else '>='} {self._places[0]}")
        return self._scan(
            first.path, columns, holds, "e.key" if first.path == EID else self._key_of(Order(EID))
        )

    def _scan_eids(self) -> str:
        begin = [f"e.key >= {self._places[0]}"] if self._places else []
        return self._scan(EID, [], [self._condition.holds, *begin], "e.key")

    def _scan(self, path: str, columns: list[_Column], holds: list[str], eid: str) -> str:
        place = self._builder.path(path)
        return self._select("scan", {"path": place}, columns, holds, eid)

    def _columns(self, order: Sequence[Order]) -> list[_Column]:
        return [(self._key_of(by), by.descending) for by in order]

    def _select(
        self, name: str, values: dict[str, str], columns: Sequence[_Column], holds: Sequence[str], eid: str
    ) -> str:
        every = [*columns, (eid, False), ("e.entity", False)]
        names = [f"o{number}" for number in range(len(every) - 1)]
        selected = [f"{sql} AS {name}" for (sql, _), name in zip(every, names, strict=False)]
        names.append("e.entity")
        directions = [_direction(sql, descending) for sql, descending in every]
        # A constant in the order would keep SQLite from using that of the index.
        varying = [sql != MISSING for sql, _ in every]
        by = [
            f"{name} {direction}"
            for name, direction in compress(zip(names, directions, strict=True), varying)
        ]
        conditions = [*holds, self._builder.not_deleted]
        parts = {"columns": ", ".join(selected), "holds": _all(conditions), "order": ", ".join(by)}
        parts["beyond"] = self._beyond(names, every)
        return self._sql[name].format(**values, **parts, limit="{limit}")

    def _key_of(self, by: Order) -> str:
        place = self._builder.path(by.path)
        return self._sql["largest" if by.descending else "smallest"].format(path=place)

    def _beyond(self, names: Sequence[str], columns: Sequence[_Column]) -> str:
        """Only what comes after the cursor: equal in some first columns, then beyond it in the next."""
        if self._after is None:
            return TRUE
        cases: list[str] = []
        equal: list[str] = []
        for name, (_, descending), place, value in zip(
            names, columns, self._places, self._after, strict=True
        ):
            cases.append(_all([*equal, _beyond(name, descending, place, value is None)]))
            equal.append(f"{name} IS NOT DISTINCT FROM {place}")
        return "(" + " OR ".join(cases) + ")"


def _beyond(name: str, descending: bool, place: str, missing: bool) -> str:
    """Missing keys come first, descending last."""
    if descending:
        return FALSE if missing else f"({name} < {place} OR {name} IS NULL)"
    return f"{name} IS NOT NULL" if missing else f"{name} > {place}"


def _direction(sql: str, descending: bool) -> str:
    """Missing keys come first, descending last; where none can be missing nothing is said of that, so that
    every engine can take the order of an index."""
    may_be_missing = sql not in ("e.key", "e.entity")
    if descending:
        return "DESC NULLS LAST" if may_be_missing else "DESC"
    return "ASC NULLS FIRST" if may_be_missing else "ASC"


def _all(conditions: Sequence[str]) -> str:
    return " AND ".join(f"({condition})" for condition in conditions if condition != TRUE) or TRUE
