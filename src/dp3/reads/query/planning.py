"""From a condition to a question to the store: what the index knows, and tests of documents for the rest.

The index has a key for each scalar at a place of a declared type, none for null. What it can not answer
exactly (`#c`, `json`, sizes, whole lists and objects, …) becomes `DocMatches`, which is for the reader: the
store gets what holds whatever the documents say.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never, cast

from dp3.engine.jobs.snapshots.keys import LONG, MAX_TEXT, ODD
from dp3.reads.query.conditions import (
    AllOf,
    AnyOf,
    At,
    Condition,
    Element,
    Every,
    Exists,
    In,
    Matches,
    Neither,
    NoneOf,
    OfType,
    Range,
    Size,
    Test,
)
from dp3.reads.query.kinds import BOOL, LIST, NONE, NULL, OBJECT, TEXT, Comparable
from dp3.reads.query.matching import Check, Document, matcher
from dp3.reads.query.places import Indexed, Place
from dp3.store.ports.queries import (
    EVERYTHING,
    And,
    Between,
    Has,
    Not,
    OneOf,
    Or,
    TextMatches,
    Where,
)
from dp3.store.ports.snapshots import Key

ReadDocument = Callable[[int, bytes], Document]
"""(run time in µs, stored snapshot) → document."""


@dataclass(frozen=True, slots=True)
class DocMatches:
    """`test` holds for the entity's latest snapshot. It gets the run time (µs) of the row and its stored
    form. Stands among the parts of a question until `make_plan` takes it out."""

    test: Callable[[int, bytes], bool]


NOTHING = Or(())

EMPTY_LIST: Comparable = (LIST, ())

_WITHOUT_KEY = (NULL, LIST, OBJECT)


class Planner:
    """Plans questions about stored snapshots; `read` makes documents of them."""

    def __init__(self, read: ReadDocument) -> None:
        self._read = read

    def where(self, condition: Condition) -> Where:
        """The question for a condition."""
        if isinstance(condition, At):
            return self._at(condition.place, condition.test)
        parts = tuple(self.where(part) for part in condition.conditions)
        if isinstance(condition, AllOf):
            return And(parts)
        if isinstance(condition, AnyOf):
            return Or(parts)
        if isinstance(condition, NoneOf):
            return Not(Or(parts))
        assert_never(condition)

    def _at(self, place: Place, test: Test) -> Where:
        if isinstance(test, Neither):
            return Not(self._at(place, test.test))
        if isinstance(test, Every):
            return And(tuple(self._at(place, part) for part in _merged(place, test.tests)))
        if isinstance(test, Element):
            necessary = Or((_necessary_of_element(place, test), _is_odd(place)))
            return And((necessary, self._ask(place, test)))
        if place.indexed is Indexed.FREE:
            return And((_necessary_of_free(place, test), self._ask(place, test)))
        if place.indexed is Indexed.NO or isinstance(test, Size | OfType):
            return self._ask(place, test)
        index, odd = self._by_index(place, test), _is_odd(place)
        return Or((And((index, Not(odd))), And((odd, self._ask(place, test)))))

    def _by_index(self, place: Place, test: Exists | Matches | Range | In) -> Where:
        """What the index knows of values of the declared type."""
        if isinstance(test, Exists):
            return self._exists(place)
        if isinstance(test, Matches):
            return self._matches(place, test)
        if isinstance(test, Range):
            return self._range(place, test)
        return self._in(place, test)

    def _ask(self, place: Place, test: Test) -> Where:
        """Ask each document."""
        read = self._read
        return cast("Where", DocMatches(lambda run_time, doc: matcher(At(place, test))(read(run_time, doc))))

    def _exists(self, place: Place) -> Where:
        if place.indexed is Indexed.ONE:
            return _has(place)
        return Or((_has(place), self._ask(place, Exists())))  # an empty list has no key

    def _matches(self, place: Place, test: Matches) -> Where:
        if place.kind.rank != TEXT:
            return And((_has(place), self._ask(place, test)))
        in_index = _text_matches(place, test)
        return Or((in_index, self._among_long(place, test)))

    def _range(self, place: Place, test: Range) -> Where:
        rank = _rank(test)
        if rank in (LIST, OBJECT):
            return self._ask(place, test)
        if rank != place.kind.rank:
            return NOTHING
        between = _between(place, test)
        return Or((between, self._among_long(place, test))) if rank == TEXT else between

    def _in(self, place: Place, test: In) -> Where:
        keys = [value for value in test.values if value[0] == place.kind.rank]
        short = tuple(_key(value) for value in keys if not _is_long(value))
        parts: list[Where] = [OneOf(place.path, short)] if short else []
        if len(short) < len(keys):
            parts.append(self._among_long(place, test))
        parts.extend(self._range(place, part) for part in test.ranges)
        wholes = tuple(value for value in test.values if value[0] in (LIST, OBJECT))
        if wholes == (EMPTY_LIST,):
            parts.append(And((Not(_has(place)), self._ask(place, In(wholes)))))
        elif wholes:
            parts.append(self._ask(place, In(wholes)))
        if NONE in test.values:
            parts.append(self._is_null(place))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _is_null(self, place: Place) -> Where:
        if place.indexed is Indexed.ONE:
            return Not(_has(place))
        # An empty list is not null, and beside an element with a value there may be one without.
        return self._ask(place, In((NONE,)))

    def _among_long(self, place: Place, test: Test) -> Where:
        return And((Has(long_path(place.path)), self._ask(place, test)))


@dataclass(frozen=True, slots=True)
class Plan:
    """A question to the store that the index answers fast. If `check` is given it finds too much: each
    document has to pass `check` too. With `markers` each document of an entity that has a key at one of these
    paths, mostly none, has to pass what `check_marked` makes."""

    where: Where
    check: Check | None = None
    markers: tuple[str, ...] = ()
    check_marked: Callable[[], Check] | None = None

    @property
    def unmarked(self) -> Where:
        """The question about entities for which the index is exact."""
        return And((self.where, Not(self._any_marker)))

    @property
    def marked(self) -> Where:
        """The question about entities whose documents have to be checked."""
        return And((self.where, self._any_marker))

    @property
    def _any_marker(self) -> Where:
        return Or(tuple(map(Has, self.markers)))


def make_plan(planner: Planner, condition: Condition) -> Plan:
    """How to find what meets a condition."""
    where = planner.where(condition)
    if not _is_indexed(where):
        return Plan(_bound(where, upper=True), matcher(condition))
    markers = tuple(dict.fromkeys(_markers(where)))
    if not markers:
        return Plan(where)
    return Plan(_bound(where, upper=True), markers=markers, check_marked=lambda: matcher(condition))


def searches_texts(where: Where) -> bool:
    """Whether every different text at some place has to be searched."""
    if isinstance(where, And | Or):
        return any(map(searches_texts, where.parts))
    if isinstance(where, Not):
        return searches_texts(where.part)
    return isinstance(where, TextMatches) and not where.prefix


def _is_indexed(where: Where) -> bool:
    """Whether few documents have to be asked: none, or those with a value that the index does not take."""
    if isinstance(where, And):
        return any(map(_marks_few, where.parts)) or all(map(_is_indexed, where.parts))
    if isinstance(where, Or):
        return all(map(_is_indexed, where.parts))
    if isinstance(where, Not):
        return _is_indexed(where.part)
    return not isinstance(where, DocMatches)


def _marks_few(where: Where) -> bool:
    return isinstance(where, Has) and where.path.endswith((LONG, ODD))


def _is_odd(place: Place) -> Has:
    """The attribute has a value that is not of its type, which only a module can have set."""
    return Has(place.attribute + ODD)


def _markers(where: Where) -> list[str]:
    """The paths without whose keys no document is asked."""
    if isinstance(where, And | Or):
        found = [path for part in where.parts for path in _markers(part)]
        if any(isinstance(part, DocMatches) for part in where.parts):
            found += [part.path for part in where.parts if isinstance(part, Has) and _marks_few(part)]
        return found
    return _markers(where.part) if isinstance(where, Not) else []


def _bound(where: Where, *, upper: bool) -> Where:
    """What holds wherever the question does (`upper`), or only there, whatever the documents say."""
    if isinstance(where, And):
        return And(tuple(_bound(part, upper=upper) for part in where.parts))
    if isinstance(where, Or):
        return Or(tuple(_bound(part, upper=upper) for part in where.parts))
    if isinstance(where, Not):
        return Not(_bound(where.part, upper=not upper))
    if isinstance(where, DocMatches):
        return EVERYTHING if upper else NOTHING
    return where


def long_path(path: str) -> str:
    """Where the index marks what is too large at `path`."""
    return path + LONG


def _between(place: Place, test: Range) -> Between:
    low, high = test.low, test.high
    return Between(
        place.path,
        None if low is None else _key(low),
        None if high is None else _key(high),
        test.low_open,
        test.high_open,
    )


def _text_matches(place: Place, test: Matches) -> TextMatches:
    return TextMatches(place.path, test.pattern, test.flags, test.prefix)


def _has(place: Place) -> Where:
    has = Has(place.path)
    return Or((has, Has(long_path(place.path)))) if place.kind.rank == TEXT else has


def _key(value: Comparable) -> Key:
    key: Key = value[1]
    return int(key) if value[0] == BOOL else key


def _is_long(value: Comparable) -> bool:
    return value[0] == TEXT and len(value[1]) > MAX_TEXT


def _merged(place: Place, tests: Sequence[Test]) -> Sequence[Test]:
    """The tests, with a lower and an upper bound of the same single value as one range."""
    ranges = [test for test in tests if isinstance(test, Range)]
    if place.indexed is not Indexed.ONE or len(ranges) != 2:
        return tests
    lows = [test for test in ranges if test.low is not None]
    highs = [test for test in ranges if test.high is not None]
    if len(lows) != 1 or len(highs) != 1 or _rank(lows[0]) != _rank(highs[0]):
        return tests
    both = Range(lows[0].low, highs[0].high, lows[0].low_open, highs[0].high_open)
    return [both, *(test for test in tests if not isinstance(test, Range))]


def _rank(test: Range) -> int:
    bound = test.low or test.high
    assert bound is not None
    return bound[0]


def _necessary_of_element(place: Place, test: Element) -> Where:
    """What holds for every document with such an element, as far as the index knows."""
    if test.condition is not None:
        return _necessary(test.condition)
    assert test.test is not None
    return _necessary(At(place, test.test))


def _necessary(condition: Condition) -> Where:
    if isinstance(condition, AllOf):
        return And(tuple(_necessary(part) for part in condition.conditions))
    if not isinstance(condition, At) or condition.place.indexed is Indexed.NO:
        return EVERYTHING
    place, test = condition.place, condition.test
    if place.indexed is Indexed.FREE:
        return _necessary_of_free(place, test)
    if isinstance(test, Every):
        return And(tuple(_necessary(At(place, part)) for part in test.tests))
    if isinstance(test, In) and not test.ranges and all(_is_short(place, value) for value in test.values):
        return OneOf(place.path, tuple(_key(value) for value in test.values))
    return EVERYTHING


def _necessary_of_free(place: Place, test: Test) -> Where:
    """What holds wherever something in JSON passes a test: there the index does not tell true from 1, nor
    nested lists from plain ones, and not all of a large value."""
    found: Where
    if isinstance(test, Range) and _rank(test) not in _WITHOUT_KEY:
        found = _between(place, test)
    elif isinstance(test, Matches):
        found = _text_matches(place, test)
    elif isinstance(test, In) and all(value[0] not in _WITHOUT_KEY for value in test.values):
        ranges = tuple(_between(place, part) for part in test.ranges)
        found = Or((OneOf(place.path, tuple(map(_key, test.values))), *ranges))
    else:
        return EVERYTHING
    return Or((found, Has(long_path(place.path)), Has(long_path(place.root)), _is_odd(place)))


def _is_short(place: Place, value: Comparable) -> bool:
    return value[0] == place.kind.rank and not _is_long(value)
