"""From a condition to a query of the store: what the index knows, and tests of documents for the rest.

The part that the index can not answer exactly (`#c`, `json`, sizes, whole lists and objects, …) becomes
`DocMatches`, which is for the reader: the store gets a query that holds whatever the documents say.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from dp3.engine.jobs.snapshots.keys import LONG, ODD
from dp3.reads.query.conditions import AnyTest, At, Check, Combine, Condition, How, Test, matcher
from dp3.reads.query.operators import NOTHING, Element, In, Range, long_path
from dp3.reads.query.places import Indexed, Place
from dp3.store.ports.queries import EVERYTHING, And, Has, Not, Or, TextMatches, Where


@dataclass(frozen=True, slots=True)
class DocMatches:
    """A test of each document. Stands among the parts of a query until `make_plan` takes it out."""

    at: At


@dataclass(frozen=True, slots=True)
class Plan:
    """A query of the store that the index answers fast. If `check` is given it finds too much: each document
    has to pass `check` too. With `markers` each document of an entity that has a key at one of these paths,
    mostly none, has to pass the check that `check_marked` makes."""

    where: Where
    check: Check | None = None
    markers: tuple[str, ...] = ()
    check_marked: Callable[[], Check] | None = None

    @property
    def unmarked(self) -> Where:
        """The query of entities for which the index is exact."""
        return And((self.where, Not(self._any_marker)))

    @property
    def marked(self) -> Where:
        """The query of entities whose documents have to be checked."""
        return And((self.where, self._any_marker))

    @property
    def _any_marker(self) -> Where:
        return Or(tuple(map(Has, self.markers)))


def make_plan(condition: Condition) -> Plan:
    """The way to find what meets a condition."""
    where = query_of(condition)
    if not _is_indexed(where):
        return Plan(_bound(where, upper=True), matcher(condition))
    markers = tuple(dict.fromkeys(_markers(where)))
    if not markers:
        return Plan(where)
    return Plan(_bound(where, upper=True), markers=markers, check_marked=lambda: matcher(condition))


def query_of(condition: Condition) -> Where:
    """The query that holds exactly for the documents that meet a condition."""
    if isinstance(condition, At):
        return _query_at(condition.place, condition.test)
    parts = tuple(map(query_of, condition.parts))
    if condition.how is How.ALL:
        return And(parts)
    return Or(parts) if condition.how is How.ANY else Not(Or(parts))


def _query_at(place: Place, test: AnyTest) -> Where:
    if isinstance(test, Combine):
        parts = tuple(_query_at(place, part) for part in _merged(place, test))
        return Not(parts[0]) if test.how is How.NONE else And(parts)
    ask = cast("Where", DocMatches(At(place, test)))
    if isinstance(test, Element):
        return And((Or((_necessary_of_element(place, test), _is_odd(place))), ask))
    if place.indexed is Indexed.FREE:
        return And((_necessary_of_free(place, test), ask))
    known = None if place.indexed is Indexed.NO else test.index(place, ask)
    if known is None:
        return ask
    odd = _is_odd(place)
    return Or((And((known, Not(odd))), And((odd, ask))))


def searches_texts(where: Where) -> bool:
    """True if every different text at some place has to be searched."""
    if isinstance(where, And | Or):
        return any(map(searches_texts, where.parts))
    if isinstance(where, Not):
        return searches_texts(where.part)
    return isinstance(where, TextMatches) and not where.prefix


def _is_indexed(where: Where) -> bool:
    """True if few documents have to be asked: none, or those with a value that the index does not take."""
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
    """A query that holds wherever this one does (`upper`), or only there, whatever the documents say."""
    if isinstance(where, And):
        return And(tuple(_bound(part, upper=upper) for part in where.parts))
    if isinstance(where, Or):
        return Or(tuple(_bound(part, upper=upper) for part in where.parts))
    if isinstance(where, Not):
        return Not(_bound(where.part, upper=not upper))
    if isinstance(where, DocMatches):
        return EVERYTHING if upper else NOTHING
    return where


def _merged(place: Place, tests: Combine[AnyTest]) -> Sequence[AnyTest]:
    """The tests, with a lower and an upper bound of the same single value as one range."""
    ranges = [test for test in tests.parts if isinstance(test, Range)]
    if place.indexed is not Indexed.ONE or len(ranges) != 2 or tests.how is not How.ALL:
        return tests.parts
    lows = [test for test in ranges if test.low is not None]
    highs = [test for test in ranges if test.high is not None]
    if len(lows) != 1 or len(highs) != 1 or lows[0].rank != highs[0].rank:
        return tests.parts
    both = Range(lows[0].low, highs[0].high, lows[0].low_open, highs[0].high_open)
    return [both, *(test for test in tests.parts if not isinstance(test, Range))]


def _necessary_of_element(place: Place, test: Element) -> Where:
    """A query that holds for every document with such an element, as far as the index knows."""
    if test.condition is not None:
        return _necessary(test.condition)
    assert test.test is not None
    return _necessary(At(place, test.test))


def _necessary(condition: Condition) -> Where:
    if isinstance(condition, Combine):
        parts = tuple(_necessary(part) for part in condition.parts)
        return And(parts) if condition.how is How.ALL else EVERYTHING
    place, test = condition.place, condition.test
    if place.indexed is Indexed.NO:
        return EVERYTHING
    if isinstance(test, Combine):
        if test.how is not How.ALL or place.indexed is Indexed.FREE:
            return EVERYTHING
        return And(tuple(_necessary(At(place, part)) for part in test.parts))
    if place.indexed is Indexed.FREE:
        return _necessary_of_free(place, test)
    return test.keys(place) if isinstance(test, In) and test.has_keys(place) else EVERYTHING


def _necessary_of_free(place: Place, test: Test) -> Where:
    """A query that holds wherever something in JSON passes a test: the index does not have all of a large
    value."""
    found = test.free(place)
    if found is None:
        return EVERYTHING
    root = place.path if place.root is None else place.root
    return Or((found, Has(long_path(place.path)), Has(long_path(root)), _is_odd(place)))
