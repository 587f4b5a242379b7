"""Conditions of queries as SQL.

Every condition can be asked of one entity (`holds`). Many can also name the entities for which they may
hold (`candidates`), with a bounded estimate of how many; then only `rest` remains to be asked of those.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from dp3.store.patterns import Search, compile_for_lines, compile_pattern
from dp3.store.ports.errors import QueryTooLarge
from dp3.store.ports.queries import And, Between, Has, Not, OneOf, Or, TextMatches, Where
from dp3.store.ports.snapshots import Key
from dp3.store.sql.index import FIRST_BYTES, FIRST_TEXT, kind_of, prefix_end, storable
from dp3.store.sql.query_builder import FALSE, TRUE, QueryBuilder

COUNTED = 20_000
"""Candidates are counted up to here, in 1 ms; more are no use to start from."""

FEW = 2_000
"""So many candidates are asked one by one, whatever their other conditions cost."""

MAX_KEYS = 10_000
"""So many keys are looked up in the index; of more, every key at the path is tested in Python."""

FEW_KEYS = 100
"""So many become a parameter each. SQLite looks for a name among all of them: for 10 000 texts that takes
270 ms, as one array they take 5 ms."""

MAX_TESTS = 4_000
"""So many tests of keys may be in one statement. SQLite takes 2 s to prepare it, which nothing interrupts;
for 10 000 it would take minutes."""

MAX_ALTERNATIVES = 400
"""So many SELECTs become one; SQLite takes 500."""

MAX_DEPTH = 100
"""Conditions may be nested so deep. SQLite takes 1000 levels of its own."""


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
        selects = self.candidates or ("SELECT 0 AS entity WHERE FALSE",)
        if len(selects) > 1:
            return " UNION ".join(selects)
        return selects[0] if self.unique else f"SELECT DISTINCT entity FROM ({selects[0]}) AS found"


NOTHING = Condition(FALSE, (), unique=True)


TEXT_PAGE = 1_000
"""Rows that are read, and whose texts are first tested, together. Of 100 000 short texts that do not match,
pages of 500, 1 000, 5 000 take 12, 10, 10 ms; one text at a time takes 88 ms."""

FEW_TEXTS = 16
"""So many texts are tested one by one when one of them may match."""


class Compiler:
    """Makes the condition of one query."""

    def __init__(self, builder: QueryBuilder) -> None:
        self._builder = builder
        self._sql = builder.sql
        self._tests = 0

    def compile(self, where: Where, depth: int = 0, lazy: bool = False) -> Condition:
        """`lazy`: few entities will be asked, so no need to look through all texts first."""
        if depth > MAX_DEPTH:
            raise QueryTooLarge(f"conditions may be nested {MAX_DEPTH} deep; this one is nested deeper")
        match where:
            case And(parts):
                return self._all_of(parts, depth + 1, lazy)
            case Or(parts):
                return _any_of([self.compile(part, depth + 1, lazy) for part in parts])
            case Not(part):
                return Condition(_negated(self.compile(part, depth + 1, lazy).holds))
            case Has(path):
                return self._key(path, TRUE)
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
        if len(distinct) == 1:
            return replace(self._key(path, f"k.key = {self._builder.key(distinct[0])}"), unique=True)
        if len(distinct) <= FEW_KEYS:
            among: str | None = f"IN ({', '.join(map(self._builder.key, distinct))})"
        else:
            among = self._builder.among(distinct)
        if among is None:
            return self._key(path, f"{self._builder.function(frozenset(distinct).__contains__)}(k.key)")
        return self._key(path, f"k.key {among}", f"{self._builder.unindexed_key} {among}")

    def _between(self, where: Between) -> Condition:
        bounds = [storable(bound) for bound in (where.low, where.high) if bound is not None]
        if not bounds:
            raise ValueError(f"a range of {where.path!r} needs a lower or an upper bound, got none")
        if len({kind_of(bound) for bound in bounds}) > 1 or any(bound != bound for bound in bounds):
            return NOTHING
        limits = [(sign, self._builder.key(bound)) for sign, bound in _limits(where, bounds[0])]
        within = " AND ".join(f"k.key {sign} {bound}" for sign, bound in limits)
        return self._key(where.path, within)

    def _text(self, where: TextMatches, lazy: bool) -> Condition:
        first, end = where.prefix or FIRST_TEXT, prefix_end(where.prefix)
        search = compile_pattern(where.pattern, where.flags)
        if lazy and (test := self._builder.function(search)):
            return self._tested_text(where.path, test, first, end)
        matching = self._matching(where, search, first, end)
        if len(matching) > MAX_KEYS and (test := self._builder.function(frozenset(matching).__contains__)):
            return self._tested_text(where.path, test, first, end)
        return self._one_of(where.path, matching)

    def _tested_text(self, path: str, function: str, first: str, end: str | bytes) -> Condition:
        low, high = self._builder.key(first), self._builder.key(end)
        return self._key(path, f"k.key >= {low} AND k.key < {high} AND {function}(k.key)")

    def _key(self, path: str, seek: str, check: str = "") -> Condition:
        """Some key `k.key` at the path passes a test, in two ways: to look into an index, and to check a key
        at hand."""
        self._tests += 1
        if self._tests > MAX_TESTS:
            raise QueryTooLarge(
                f"a question may have up to {MAX_TESTS} conditions, networks included; ask several questions"
            )
        keys, entities = self._builder.sizes(path)
        if not keys:
            return NOTHING
        place = self._builder.path(path)
        holds = self._sql["has_key"].format(path=place, holds=check or seek)
        candidates = self._sql["with_key"].format(path=place, holds=seek)
        bounded = self._sql["bounded"].format(rows=candidates, limit=COUNTED + 1)
        ((weight,),) = self._builder.rows(bounded)
        return Condition(holds, (candidates,), unique=keys == entities, weight=weight, tests=((path, seek),))

    # -- texts ---------------------------------------------------------------------------------------
    def _matching(self, where: TextMatches, search: Search, first: str, end: str | bytes) -> list[str]:
        """The different texts at a path, from `first` up to, without, `end`, in which the pattern occurs.
        Raises `QueryTooSlow`."""
        in_lines = compile_for_lines(where.pattern, where.flags)
        path = self._builder.number(where.path)
        return [
            text for page in self._pages(path, first, end) for text in self._among(page, search, in_lines)
        ]

    def _pages(self, path: int, first: str, end: str | bytes) -> Iterator[list[str]]:
        """All texts. A text of more than a page's rows is a page of its own, and its rows are passed over."""
        while True:
            after = self._builder.text_after(path, first, end, TEXT_PAGE)
            if after == first:
                yield [first]
                first += "\0"
                continue
            until = end if after is None else after
            yield self._builder.texts(path, first, until)
            if after is None:
                return
            first = after

    def _among(self, texts: Sequence[str], search: Search, in_lines: Search | None) -> Iterator[str]:
        """By halves, as long as one of a half may match: a rare match costs no more than its neighbours."""
        if self._builder.is_over():
            raise self._builder.too_slow()
        if in_lines is not None and not in_lines("\n".join(texts)):
            return
        different = list(dict.fromkeys(texts))
        if in_lines is None or len(different) <= FEW_TEXTS:
            yield from filter(search, different)
            return
        middle = len(different) // 2
        yield from self._among(different[:middle], search, in_lines)
        yield from self._among(different[middle:], search, in_lines)


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
