"""Conditions of questions as SQL.

Every condition can be asked of one entity (`holds`). Many can also name the entities for which they may
hold (`candidates`), with a bounded estimate of how many; then only `rest` remains to be asked of those.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from dp3.sqlite import Statements
from dp3.store.ports.queries import And, Between, DocMatches, Has, Not, OneOf, Or, TextMatches, Where
from dp3.store.ports.snapshots import Key
from dp3.store.sqlite.keys import FIRST_BYTES, FIRST_TEXT, kind_of, prefix_end, storable
from dp3.store.sqlite.paths import Paths
from dp3.store.sqlite.sql_builder import FALSE, TRUE, SqlBuilder
from dp3.store.sqlite.texts import Texts

COUNTED = 20_000
"""Candidates are counted up to here, in 1 ms; more are no use to start from."""

FEW = 2_000
"""So many candidates are asked one by one, whatever their other conditions cost."""

MAX_KEYS = 1_000
"""So many keys become parameters; more are looked up in Python."""

MAX_ALTERNATIVES = 400
"""So many SELECTs become one; SQLite takes 500."""

MAX_DEPTH = 100
"""How deep conditions may be nested. SQLite takes 1000 levels of its own."""


@dataclass(frozen=True, slots=True)
class Condition:
    """`candidates` are SELECTs of an `entity` each (None: no way but asking all); `unique` if together they
    give no entity twice; `weight` is how many rows they have, at most `COUNTED` + 1 for each. `tests` are
    (path, SQL of a test of `k.key`) that some key of each matching entity must pass."""

    holds: str
    candidates: tuple[str, ...] | None = None
    rest: str = TRUE
    unique: bool = False
    weight: int = 0
    tests: tuple[tuple[str, str], ...] = ()

    @property
    def counted(self) -> int | None:
        """For how many entities it holds, deleted ones included, if its weight tells."""
        is_exact = self.unique and self.rest == TRUE and self.weight <= COUNTED
        return self.weight if is_exact else None

    def entities(self) -> str:
        """A SELECT of all candidates, each once."""
        selects = self.candidates or ("SELECT 0 AS entity WHERE 0",)
        if len(selects) > 1:
            return " UNION ".join(selects)
        return selects[0] if self.unique else f"SELECT DISTINCT entity FROM ({selects[0]})"


NOTHING = Condition(FALSE, (), unique=True)


@dataclass(frozen=True, slots=True)
class _Test:
    """What must hold for a key `k.key`, in two ways: to look into an index, and to check a key at hand."""

    seek: str
    check: str


class Compiler:
    """Makes the condition of one question."""

    def __init__(self, question: SqlBuilder, sql: Statements, paths: Paths) -> None:
        self._question = question
        self._sql = sql
        self._paths = paths

    def compile(self, where: Where, depth: int = 0, lazy: bool = False) -> Condition:
        """`lazy`: few entities will be asked, so no need to look through all texts first."""
        if depth > MAX_DEPTH:
            raise ValueError(f"conditions may be nested {MAX_DEPTH} deep; this one is nested deeper")
        match where:
            case And(parts):
                return self._all_of(parts, depth + 1, lazy)
            case Or(parts):
                return _any_of([self.compile(part, depth + 1, lazy) for part in parts])
            case Not(part):
                return Condition(_negated(self.compile(part, depth + 1, lazy).holds))
            case DocMatches(test):
                return self._document(test)
            case Has(path):
                return self._key(path, _Test(TRUE, TRUE))
            case OneOf(path, keys):
                return self._one_of(path, keys)
            case Between():
                return self._between(where)
            case TextMatches():
                return self._text(where, lazy)

    def _all_of(self, parts: Sequence[Where], depth: int, lazy: bool) -> Condition:
        quick: list[Condition] = []
        for part in parts:
            if not _looks_through_texts(part):
                quick.append(self.compile(part, depth, lazy))
                if quick[-1].holds == FALSE:
                    return NOTHING
        lazy = lazy or any(part.candidates is not None and part.weight <= FEW for part in quick)
        slow = [self.compile(part, depth, lazy) for part in parts if _looks_through_texts(part)]
        return _all_of(quick + slow)

    def _one_of(self, path: str, keys: Sequence[Key]) -> Condition:
        distinct = list(dict.fromkeys(storable(key) for key in keys if key == key))
        if not distinct:
            return NOTHING
        if len(distinct) > MAX_KEYS:
            return self._looked_up(path, frozenset(distinct))
        names = [self._question.parameter(key) for key in distinct]
        if len(names) == 1:
            return replace(self._key(path, _Test(f"k.key = {names[0]}", f"k.key = {names[0]}")), unique=True)
        listed = ", ".join(names)
        return self._key(path, _Test(f"k.key IN ({listed})", f"+k.key IN ({listed})"))

    def _looked_up(self, path: str, keys: frozenset[Key]) -> Condition:
        name = self._question.function(keys.__contains__, 1)
        return self._key(path, _Test(f"{name}(k.key)", f"{name}(k.key)"))

    def _between(self, where: Between) -> Condition:
        bounds = [storable(bound) for bound in (where.low, where.high) if bound is not None]
        if not bounds:
            raise ValueError(f"a range of {where.path!r} needs a lower or an upper bound, got none")
        if len({kind_of(bound) for bound in bounds}) > 1 or any(bound != bound for bound in bounds):
            return NOTHING
        limits = [(sign, self._question.parameter(bound)) for sign, bound in _limits(where, bounds[0])]
        within = " AND ".join(f"k.key {sign} {bound}" for sign, bound in limits)
        return self._key(where.path, _Test(within, within))

    def _text(self, where: TextMatches, lazy: bool) -> Condition:
        first, end = where.prefix or FIRST_TEXT, prefix_end(where.prefix)
        if lazy:
            return self._tested_text(where.path, where.test, first, end)
        texts = Texts(self._question, self._sql, self._paths.id(where.path))
        matching = texts.matching(where, first, end)
        if len(matching) <= MAX_KEYS:
            return self._one_of(where.path, matching)
        return self._tested_text(where.path, frozenset(matching).__contains__, first, end)

    def _tested_text(self, path: str, test: Callable[[str], bool], first: str, end: str | bytes) -> Condition:
        low, high = self._question.parameter(first), self._question.parameter(end)
        name = self._question.function(lambda text: bool(test(text)), 1)
        tested = f"k.key >= {low} AND k.key < {high} AND {name}(k.key)"
        return self._key(path, _Test(tested, tested))

    def _document(self, test: Callable[[int, bytes], bool]) -> Condition:
        name = self._question.function(lambda time, doc: bool(test(time, doc)), 2)
        return Condition(f"{name}({self._sql['run_time']}, {self._sql['document']})")

    def _key(self, path: str, test: _Test) -> Condition:
        if not self._paths.sizes(path).keys:
            return NOTHING
        place = self._question.parameter(self._paths.id(path))
        holds = self._sql["has_key"].format(path=place, holds=test.check)
        candidates = self._sql["with_key"].format(path=place, holds=test.seek)
        single = self._paths.sizes(path).single
        weight = self._weight(candidates)
        tests = ((path, test.seek),)
        return Condition(holds, (candidates,), unique=single, weight=weight, tests=tests)

    def _weight(self, rows: str) -> int:
        counted: int = self._question.rows(self._sql["bounded"].format(rows=rows, limit=COUNTED + 1)).get
        return counted


def _looks_through_texts(where: Where) -> bool:
    match where:
        case TextMatches():
            return True
        case And(parts) | Or(parts):
            return any(map(_looks_through_texts, parts))
        case Not(part):
            return _looks_through_texts(part)
    return False


def _limits(where: Between, bound: Key) -> Iterator[tuple[str, Key]]:
    """Signs and bounds on both sides: without one of its own a range ends where the kind of key does."""
    first, end = _KINDS[kind_of(bound)]
    low = first if where.low is None else storable(where.low)
    high = end if where.high is None else storable(where.high)
    if low is not None:
        yield (">" if where.low_open and where.low is not None else ">="), low
    if high is not None:
        yield ("<" if where.high_open or where.high is None else "<="), high


_KINDS: dict[type, tuple[Key | None, Key | None]] = {
    float: (None, FIRST_TEXT),
    str: (FIRST_TEXT, FIRST_BYTES),
    bytes: (FIRST_BYTES, None),
}
"""Kind of key → the first one and the first one of the next kind."""


def _all_of(parts: Sequence[Condition]) -> Condition:
    holds = _joined("AND", [part.holds for part in parts], TRUE, FALSE)
    starts = [part for part in parts if part.candidates is not None]
    tests = tuple(test for part in parts for test in part.tests)
    if not starts:
        return Condition(holds, tests=tests)
    start = min(starts, key=lambda part: part.weight)
    others = [part.holds for part in parts if part is not start]
    rest = _joined("AND", [start.rest, *others], TRUE, FALSE)
    return replace(start, holds=holds, rest=rest, tests=tests)


def _any_of(parts: Sequence[Condition]) -> Condition:
    parts = [part for part in parts if part.holds != FALSE]
    if len(parts) <= 1:
        return parts[0] if parts else NOTHING
    holds = _joined("OR", [part.holds for part in parts], FALSE, TRUE)
    selects: list[str] = []
    for part in parts:
        if part.candidates is None:
            return Condition(holds)
        selects.extend(part.candidates)
    if len(selects) > MAX_ALTERNATIVES:
        return Condition(holds)
    rest = TRUE if all(part.rest == TRUE for part in parts) else holds
    return Condition(holds, tuple(selects), rest, not selects, sum(part.weight for part in parts))


def _negated(holds: str) -> str:
    return {TRUE: FALSE, FALSE: TRUE}.get(holds, f"NOT ({holds})")


def _joined(operator: str, parts: Sequence[str], neutral: str, decisive: str) -> str:
    """Conditions joined as a balanced tree, since SQLite limits the depth of expressions."""
    if decisive in parts:
        return decisive
    kept = [part for part in parts if part != neutral]
    if len(kept) <= 1:
        return kept[0] if kept else neutral
    half = len(kept) // 2
    sides = [_joined(operator, side, neutral, decisive) for side in (kept[:half], kept[half:])]
    return f"({sides[0]} {operator} {sides[1]})"
