"""From a filter in MongoDB's language, as JSON, to a `Condition`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dp3.model.errors import did_you_mean
from dp3.reads.query.conditions import (
    NOTHING,
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
from dp3.reads.query.errors import QueryError, invalid_query
from dp3.reads.query.kinds import ADDRESS, NONE, Comparable, type_name
from dp3.reads.query.magic import Network, replace_magic
from dp3.reads.query.places import Place, Places
from dp3.reads.query.regex import FLAGS, Regex

MAX_DEPTH = 30
MAX_CONDITIONS = 200

MAX_VALUES = 10_000
"""In lists of `$in`, `$nin` and `$all`."""

EVERYTHING = AllOf(())


def parse_filter(places: Places, query: Mapping[str, Any]) -> Condition:
    """The condition that a filter states; magic strings count as what they stand for.

    Raises `QueryError`, which names what is wrong."""
    try:
        return _Parser(places).condition(replace_magic(dict(query)), None)
    except QueryError:
        raise
    except ValueError as error:  # a value without a JSON form, such as a network inside an object
        raise invalid_query(str(error)) from None


class _Parser:
    """Parses one filter. Methods that take `operand` are the operators."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._depth = 0
        self._conditions = 0
        self._logic: Mapping[str, Callable[[tuple[Condition, ...]], Condition]] = {
            "$and": AllOf,
            "$or": AnyOf,
            "$nor": NoneOf,
        }
        self._operators: Mapping[str, Callable[[Place, Any], Test]] = {
            "$eq": self._in_one,
            "$ne": lambda place, operand: Neither(self._in_one(place, operand)),
            "$gt": lambda place, operand: self._range(place, "$gt", operand),
            "$gte": lambda place, operand: self._range(place, "$gte", operand),
            "$lt": lambda place, operand: self._range(place, "$lt", operand),
            "$lte": lambda place, operand: self._range(place, "$lte", operand),
            "$in": lambda place, operand: self._in(place, "$in", operand),
            "$nin": lambda place, operand: Neither(self._in(place, "$nin", operand)),
            "$exists": self._exists,
            "$not": self._not,
            "$elemMatch": self._elem_match,
            "$size": self._size,
            "$all": self._all,
            "$type": self._type,
        }

    def condition(self, query: dict[str, Any], inside: Place | None) -> Condition:
        """The condition that an object states."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise invalid_query(f"nested more than {MAX_DEPTH} levels deep")
        parts = tuple(self._part(key, value, inside) for key, value in query.items())
        self._depth -= 1
        return parts[0] if len(parts) == 1 else AllOf(parts)

    def _part(self, key: str, value: Any, inside: Place | None) -> Condition:
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise invalid_query(f"more than {MAX_CONDITIONS} conditions")
        if key in self._logic:
            if not isinstance(value, list) or not value:
                raise invalid_query(f"{key} needs a list of conditions, got {_shown(value)}")
            for part in value:
                if not isinstance(part, dict):
                    raise invalid_query(f"{key} takes objects with conditions, got {_shown(part)}")
            return self._logic[key](tuple(self.condition(part, inside) for part in value))
        if key.startswith("$"):
            known = f"{', '.join(self._logic)} or the name of an attribute"
            raise invalid_query(
                f"unknown operator {key[:80]}, expected {known}{did_you_mean(key, self._logic)}"
            )
        place = self._places.find(key, inside)
        return At(place, self._test(place, value))

    def _test(self, place: Place, value: Any) -> Test:
        if isinstance(value, dict) and any(key.startswith("$") for key in value):
            return self._tests(place, value)
        return self._in_one(place, value)

    def _tests(self, place: Place, operators: dict[str, Any]) -> Test:
        tests: list[Test] = []
        for name, operand in operators.items():
            if name == "$regex":
                tests.append(_regex(operand, operators.get("$options", "")))
            elif name == "$options":
                if "$regex" not in operators:
                    raise invalid_query("$options needs a $regex beside it")
            else:
                tests.append(self._operator(name)(place, operand))
        return tests[0] if len(tests) == 1 else Every(tuple(tests))

    def _operator(self, name: str) -> Callable[[Place, Any], Test]:
        operator = self._operators.get(name)
        if operator is None:
            known = ["$regex", "$options", *self._operators]
            raise invalid_query(
                f"unknown operator {name[:80]}, expected one of {', '.join(known)}{did_you_mean(name, known)}"
            )
        return operator

    def _in_one(self, place: Place, operand: Any) -> In:
        return _one_of(place, [operand])

    def _in(self, place: Place, name: str, operand: Any) -> In:
        literals = _list(name, operand)
        if any(isinstance(item, dict) and any(key.startswith("$") for key in item) for item in literals):
            raise invalid_query(f"{name} takes values, not operators")
        return _one_of(place, literals)

    def _range(self, place: Place, name: str, operand: Any) -> Test:
        if isinstance(operand, Network):
            raise invalid_query(f"{name} takes one value, not a network")
        bound: Comparable = place.kind.of_query(operand)
        is_open = not name.endswith("e")
        if bound == NONE:
            return NOTHING if is_open else In((NONE,))
        if name.startswith("$g"):
            return Range(low=bound, low_open=is_open)
        return Range(high=bound, high_open=is_open)

    def _exists(self, _: Place, operand: Any) -> Test:
        if not isinstance(operand, bool | int | float):
            raise invalid_query(f"$exists takes true or false, got {_shown(operand)}")
        return Exists() if operand else Neither(Exists())

    def _not(self, place: Place, operand: Any) -> Test:
        if not isinstance(operand, dict) or not operand:
            raise invalid_query(f'$not takes operators such as {{"$gt": 1}}, got {_shown(operand)}')
        return Neither(self._tests(place, operand))

    def _elem_match(self, place: Place, operand: Any) -> Test:
        if not isinstance(operand, dict):
            raise invalid_query(f"$elemMatch takes conditions, got {_shown(operand)}")
        if any(key.startswith("$") and key not in self._logic for key in operand):
            return Element(None, self._tests(place, operand))
        return Element(self.condition(operand, place), None)

    def _size(self, _: Place, operand: Any) -> Test:
        whole = operand.is_integer() if isinstance(operand, float) else type(operand) is int
        if not whole:
            raise invalid_query(f"$size takes a whole number, got {_shown(operand)}")
        return Size(int(operand))

    def _all(self, place: Place, operand: Any) -> Test:
        tests = tuple(self._test_of_all(place, item) for item in _list("$all", operand))
        return Every(tests) if tests else NOTHING

    def _test_of_all(self, place: Place, item: Any) -> Test:
        if isinstance(item, dict) and item.keys() == {"$elemMatch"}:
            return self._elem_match(place, item["$elemMatch"])
        return self._in_one(place, item)

    def _type(self, _: Place, operand: Any) -> Test:
        names = []
        for given in operand if isinstance(operand, list) else [operand]:
            name = type_name(given)
            if name is None:
                raise invalid_query(f"$type takes names or numbers of types, got {_shown(given)}")
            names.append(name)
        return OfType(tuple(names))


def _regex(pattern: Any, flags: Any) -> Matches:
    if not isinstance(pattern, str):
        raise invalid_query(f"$regex takes a text, got {_shown(pattern)}")
    if not isinstance(flags, str) or set(flags) - set(FLAGS):
        raise invalid_query(f"$options takes letters of {FLAGS!r}, got {_shown(flags)}")
    return text_test(Regex(pattern, flags, "$regex"))


def text_test(regex: Regex) -> Matches:
    """The test for a regular expression. Raises `QueryError` if that is wrong."""
    return Matches(regex.compile(), *regex.known, regex.prefix)


def _one_of(place: Place, literals: Sequence[Any]) -> In:
    """Equal to one of the values, or in one of the networks; there are addresses only in them."""
    values = tuple(place.kind.of_query(item) for item in literals if not isinstance(item, Network))
    networks = [item for item in literals if isinstance(item, Network)]
    ranges = [Range(place.kind.of_query(one.first), place.kind.of_query(one.last)) for one in networks]
    return In(values, tuple(part for part in ranges if part.low is not None and part.low[0] == ADDRESS))


def _list(name: str, operand: Any) -> list[Any]:
    if not isinstance(operand, list):
        raise invalid_query(f"{name} takes a list, got {_shown(operand)}")
    if len(operand) > MAX_VALUES:
        raise invalid_query(f"{name} takes up to {MAX_VALUES} values, got {len(operand)}")
    return operand


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
