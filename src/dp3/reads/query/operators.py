"""The operators of filters.

An operator is a row of `OPERATORS`: its name and the function that reads its operand and makes a test of it.
A test says how it looks at values in documents, and what the index of current values knows of that: it has a
key for each scalar at a place of a declared type, none for null."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dp3.engine.jobs.snapshots.keys import LONG, MAX_TEXT
from dp3.reads.errors import invalid_query
from dp3.reads.query.conditions import (
    MISSING,
    AnyTest,
    Candidates,
    Check,
    Combine,
    Condition,
    How,
    Test,
    Verdict,
    matcher,
    negated,
    verdict_of,
)
from dp3.reads.query.kinds import (
    ADDRESS,
    BOOL,
    LIST,
    NONE,
    NULL,
    OBJECT,
    TEXT,
    Comparable,
    type_matches,
    type_name,
)
from dp3.reads.query.magic import Network
from dp3.reads.query.parsing import LOGIC, MAX_VALUES, Operator, Parser, shown
from dp3.reads.query.places import Indexed, Place
from dp3.reads.query.regex import FLAGS, Regex
from dp3.store.ports.queries import And, Between, Has, Not, OneOf, Or, TextMatches, Where
from dp3.store.ports.snapshots import Key

NOTHING = Or(())

EMPTY_LIST: Comparable = (LIST, ())

_WITHOUT_KEY = (NULL, LIST, OBJECT)


@dataclass(frozen=True, slots=True)
class Range(Test):
    """Values of the kind of the bounds, within them; a bound that is None does not limit."""

    low: Comparable | None = None
    high: Comparable | None = None
    low_open: bool = False
    high_open: bool = False

    @property
    def rank(self) -> int:
        """The rank of the values."""
        bound = self.low or self.high
        assert bound is not None
        return bound[0]

    def contains(self, value: Comparable) -> bool:
        low, high = self.low, self.high
        if low is not None and (value[0] != low[0] or value < low or (self.low_open and value == low)):
            return False
        return high is None or not (value[0] != high[0] or value > high or (self.high_open and value == high))

    def accepts(self, place: Place) -> Check:
        comparable = _comparable_at(place)
        return lambda value: self.contains(comparable(value))

    def index(self, place: Place, ask: Where) -> Where:
        rank = self.rank
        if rank in (LIST, OBJECT):
            return ask
        if rank != place.kind.rank:
            return NOTHING
        between = self.between(place)
        return Or((between, _among_long(place, ask))) if rank == TEXT else between

    def free(self, place: Place) -> Where | None:
        return None if self.rank in _WITHOUT_KEY else self.between(place)

    def between(self, place: Place) -> Between:
        """Keys within the bounds."""
        low = None if self.low is None else _key(self.low)
        high = None if self.high is None else _key(self.high)
        return Between(place.path, low, high, self.low_open, self.high_open)


@dataclass(frozen=True, slots=True)
class In(Test):
    """Values equal to one of these, or in one of the ranges. Equal to null is also what is missing."""

    values: tuple[Comparable, ...]
    ranges: tuple[Range, ...] = ()

    def accepts(self, place: Place) -> Check:
        comparable, wanted = _comparable_at(place), frozenset(self.values)
        if not self.ranges:
            return lambda value: comparable(value) in wanted
        return lambda value: (
            comparable(value) in wanted or any(part.contains(comparable(value)) for part in self.ranges)
        )

    def index(self, place: Place, ask: Where) -> Where:
        keys = [value for value in self.values if value[0] == place.kind.rank]
        short = tuple(_key(value) for value in keys if not _is_long(value))
        parts: list[Where] = [OneOf(place.path, short)] if short else []
        if len(short) < len(keys):
            parts.append(_among_long(place, ask))
        parts.extend(part.index(place, ask) for part in self.ranges)
        wholes = tuple(value for value in self.values if value[0] in (LIST, OBJECT))
        if wholes == (EMPTY_LIST,):
            parts.append(And((Not(_has(place)), ask)))
        elif wholes:
            parts.append(ask)
        if NONE in self.values:
            # An empty list is not null, and beside an element with a value there may be one without.
            parts.append(Not(_has(place)) if place.indexed is Indexed.ONE else ask)
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def free(self, place: Place) -> Where | None:
        if any(value[0] in _WITHOUT_KEY for value in self.values):
            return None
        return Or((self.keys(place), *(part.between(place) for part in self.ranges)))

    def keys(self, place: Place) -> OneOf:
        """Keys of all values."""
        return OneOf(place.path, tuple(map(_key, self.values)))

    def has_keys(self, place: Place) -> bool:
        """True if all values are of the kind of the place and in the index."""
        return not self.ranges and all(
            value[0] == place.kind.rank and not _is_long(value) for value in self.values
        )


@dataclass(frozen=True, slots=True)
class Matches(Test):
    """Texts in which a regular expression occurs; ids and addresses are searched in their text form.
    `search` tests a text; `pattern`, `flags` and `prefix` are as the store takes them (`TextMatches`)."""

    search: Callable[[str], bool]
    pattern: str
    flags: str
    prefix: str

    def accepts(self, place: Place) -> Check:
        search = self.search
        if place.is_id:
            return lambda value: type(value) in (str, int) and search(str(value))
        return lambda value: type(value) is str and search(value)

    def index(self, place: Place, ask: Where) -> Where:
        if place.kind.rank != TEXT:
            return And((_has(place), ask))
        return Or((self.texts(place), _among_long(place, ask)))

    def free(self, place: Place) -> Where:
        return self.texts(place)

    def texts(self, place: Place) -> TextMatches:
        """Keys in which it occurs."""
        return TextMatches(place.path, self.pattern, self.flags, self.prefix)


class Exists(Test):
    """There is a value. Null counts where anything may stand, but not where a type is declared."""

    __slots__ = ()

    def verdict(self, place: Place, candidates: Candidates) -> Verdict:
        absent = (MISSING, None) if place.root is None else (MISSING,)
        return lambda found: any(value not in absent for value in found)

    def index(self, place: Place, ask: Where) -> Where:
        has = _has(place)
        return has if place.indexed is Indexed.ONE else Or((has, ask))  # an empty list has no key


@dataclass(frozen=True, slots=True)
class OfType(Test):
    """Values of one of these types, named as in MongoDB."""

    names: tuple[str, ...]

    def accepts(self, place: Place) -> Check:
        comparable, names = place.kind.of_document, self.names
        return lambda value: (
            value is not MISSING and any(type_matches(comparable(value), name) for name in names)
        )


@dataclass(frozen=True, slots=True)
class Size(Test):
    """Lists of this length."""

    length: int

    def verdict(self, place: Place, candidates: Candidates) -> Verdict:
        return lambda found: any(isinstance(value, list) and len(value) == self.length for value in found)


@dataclass(frozen=True, slots=True)
class Element(Test):
    """Lists one element of which meets the condition, or passes the tests."""

    condition: Condition | None
    test: AnyTest | None

    def verdict(self, place: Place, candidates: Candidates) -> Verdict:
        check = self._check(place)
        return lambda found: any(check(item) for value in found if isinstance(value, list) for item in value)

    def _check(self, place: Place) -> Check:
        """A list in a list counts as a whole, or as an object with the numbers of its elements as keys."""
        if self.condition is not None:
            check = matcher(self.condition)
            return lambda item: isinstance(item, dict | list) and check(_as_object(item))
        assert self.test is not None
        verdict = verdict_of(self.test, place, iter)
        return lambda item: verdict([item])


def _as_object(item: dict[str, Any] | list[Any]) -> dict[str, Any]:
    return item if isinstance(item, dict) else {str(number): value for number, value in enumerate(item)}


def _comparable_at(place: Place) -> Callable[[Any], Comparable]:
    of_document = place.kind.of_document
    return lambda value: NONE if value is MISSING else of_document(value)


def long_path(path: str) -> str:
    """The path at which the index marks values that are too large at `path`."""
    return path + LONG


def _has(place: Place) -> Where:
    has = Has(place.path)
    return Or((has, Has(long_path(place.path)))) if place.kind.rank == TEXT else has


def _among_long(place: Place, ask: Where) -> Where:
    return And((Has(long_path(place.path)), ask))


def _key(value: Comparable) -> Key:
    key: Key = value[1]
    return int(key) if value[0] == BOOL else key


def _is_long(value: Comparable) -> bool:
    return value[0] == TEXT and len(value[1]) > MAX_TEXT


Beside = Mapping[str, Any]
"""The whole object of operators in which one stands."""


def _equal(_: Parser, place: Place, operand: Any, __: Beside) -> AnyTest:
    return _one_of(place, [operand])


def _one_of(place: Place, literals: Sequence[Any]) -> In:
    """Equal to one of the values, or in one of the networks; there are addresses only in them."""
    values = tuple(place.kind.of_query(item) for item in literals if not isinstance(item, Network))
    networks = [item for item in literals if isinstance(item, Network)]
    ranges = [Range(place.kind.of_query(one.first), place.kind.of_query(one.last)) for one in networks]
    return In(values, tuple(part for part in ranges if part.low is not None and part.low[0] == ADDRESS))


def _in(name: str) -> Operator:
    def parse(_: Parser, place: Place, operand: Any, __: Beside) -> AnyTest:
        literals = _list(name, operand)
        if any(isinstance(item, dict) and any(key.startswith("$") for key in item) for item in literals):
            raise invalid_query(f"{name} takes values, not operators")
        return _one_of(place, literals)

    return parse


def _bound(name: str, *, low: bool, is_open: bool) -> Operator:
    def parse(_: Parser, place: Place, operand: Any, __: Beside) -> AnyTest:
        if isinstance(operand, Network):
            raise invalid_query(f"{name} takes one value, not a network")
        bound = place.kind.of_query(operand)
        if bound == NONE:
            return In(()) if is_open else In((NONE,))
        return Range(low=bound, low_open=is_open) if low else Range(high=bound, high_open=is_open)

    return parse


def _not_as(operator: Operator) -> Operator:
    """The operator that holds where another one does not."""

    def parse(parser: Parser, place: Place, operand: Any, beside: Beside) -> AnyTest:
        test = operator(parser, place, operand, beside)
        assert test is not None
        return negated(test)

    return parse


def _regex(_: Parser, __: Place, pattern: Any, beside: Beside) -> AnyTest:
    flags = beside.get("$options", "")
    if not isinstance(pattern, str):
        raise invalid_query(f"$regex takes a text, got {shown(pattern)}")
    if not isinstance(flags, str) or set(flags) - set(FLAGS):
        raise invalid_query(f"$options takes letters of {FLAGS!r}, got {shown(flags)}")
    return text_test(Regex(pattern, flags, "$regex"))


def _options(_: Parser, __: Place, ___: Any, beside: Beside) -> None:
    if "$regex" not in beside:
        raise invalid_query("$options needs a $regex beside it")


def text_test(regex: Regex) -> Matches:
    """The test for a regular expression. Raises `QueryError` if that is wrong."""
    return Matches(regex.compile(), *regex.known, regex.prefix)


def _exists(_: Parser, __: Place, operand: Any, ___: Beside) -> AnyTest:
    if not isinstance(operand, bool | int | float):
        raise invalid_query(f"$exists takes true or false, got {shown(operand)}")
    return Exists() if operand else negated(Exists())


def _not(parser: Parser, place: Place, operand: Any, _: Beside) -> AnyTest:
    if not isinstance(operand, dict) or not operand:
        raise invalid_query(f'$not takes operators such as {{"$gt": 1}}, got {shown(operand)}')
    return negated(parser.tests(place, operand))


def _elem_match(parser: Parser, place: Place, operand: Any, _: Beside) -> AnyTest:
    if not isinstance(operand, dict):
        raise invalid_query(f"$elemMatch takes conditions, got {shown(operand)}")
    if any(key.startswith("$") and key not in LOGIC for key in operand):
        return Element(None, parser.tests(place, operand))
    return Element(parser.condition(operand, place), None)


def _size(_: Parser, __: Place, operand: Any, ___: Beside) -> AnyTest:
    whole = operand.is_integer() if isinstance(operand, float) else type(operand) is int
    if not whole:
        raise invalid_query(f"$size takes a whole number, got {shown(operand)}")
    return Size(int(operand))


def _all(parser: Parser, place: Place, operand: Any, beside: Beside) -> AnyTest:
    tests = []
    for item in _list("$all", operand):
        if isinstance(item, dict) and item.keys() == {"$elemMatch"}:
            tests.append(_elem_match(parser, place, item["$elemMatch"], beside))
        else:
            tests.append(_one_of(place, [item]))
    return Combine(How.ALL, tuple(tests)) if tests else In(())


def _type(_: Parser, __: Place, operand: Any, ___: Beside) -> AnyTest:
    names = []
    for given in operand if isinstance(operand, list) else [operand]:
        name = type_name(given)
        if name is None:
            raise invalid_query(f"$type takes names or numbers of types, got {shown(given)}")
        names.append(name)
    return OfType(tuple(names))


def _list(name: str, operand: Any) -> list[Any]:
    if not isinstance(operand, list):
        raise invalid_query(f"{name} takes a list, got {shown(operand)}")
    if len(operand) > MAX_VALUES:
        raise invalid_query(f"{name} takes up to {MAX_VALUES} values, got {len(operand)}")
    return operand


OPERATORS: Mapping[str, Operator] = {
    "$regex": _regex,
    "$options": _options,
    "$eq": _equal,
    "$ne": _not_as(_equal),
    "$gt": _bound("$gt", low=True, is_open=True),
    "$gte": _bound("$gte", low=True, is_open=False),
    "$lt": _bound("$lt", low=False, is_open=True),
    "$lte": _bound("$lte", low=False, is_open=False),
    "$in": _in("$in"),
    "$nin": _not_as(_in("$nin")),
    "$exists": _exists,
    "$not": _not,
    "$elemMatch": _elem_match,
    "$size": _size,
    "$all": _all,
    "$type": _type,
}
