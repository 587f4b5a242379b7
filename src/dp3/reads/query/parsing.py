"""From a filter in MongoDB's language, as JSON, to a condition: objects, logic, nesting, limits. The
operators themselves are in `operators`."""

from collections.abc import Callable, Mapping
from typing import Any

from dp3.model.errors import did_you_mean
from dp3.reads.errors import QueryError, invalid_query
from dp3.reads.query.conditions import (
    AnyTest,
    At,
    Combine,
    Condition,
    How,
    verdict_of,
    with_elements,
)
from dp3.reads.query.magic import replace_magic
from dp3.reads.query.places import Place, Places

MAX_DEPTH = 30
MAX_CONDITIONS = 200

MAX_VALUES = 10_000
"""In lists of `$in`, `$nin` and `$all`."""

LOGIC: Mapping[str, How] = {"$and": How.ALL, "$or": How.ANY, "$nor": How.NONE}

Operator = Callable[["Parser", Place, Any, Mapping[str, Any]], AnyTest | None]
"""Reads the operand of an operator; gets the operators beside it, too. None for one that only says more of
another one. Raises `QueryError`."""


See = Callable[[Place], None]
"""Called with each place of which a filter speaks."""


def parse_filter(
    places: Places, operators: Mapping[str, Operator], query: Mapping[str, Any], see: See
) -> Condition:
    """The condition that a filter states; magic strings count as what they stand for.

    Raises `QueryError`, which names what is wrong."""
    try:
        return Parser(places, operators, see).condition(replace_magic(dict(query)), None)
    except QueryError:
        raise
    except ValueError as error:  # a value without a JSON form, such as a network inside an object
        raise invalid_query(str(error)) from None


class Parser:
    """Parses one filter."""

    def __init__(self, places: Places, operators: Mapping[str, Operator], see: See) -> None:
        self._places = places
        self._operators = operators
        self._see = see
        self._depth = 0
        self._conditions = 0

    def condition(self, query: dict[str, Any], inside: Place | None) -> Condition:
        """The condition that an object states, in `$elemMatch` about an element of the list `inside`."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise invalid_query(f"nested more than {MAX_DEPTH} levels deep")
        parts = tuple(self._part(key, value, inside) for key, value in query.items())
        self._depth -= 1
        return parts[0] if len(parts) == 1 else Combine(How.ALL, parts)

    def tests(self, place: Place, operators: Mapping[str, Any]) -> AnyTest:
        """The test that an object of operators states."""
        found = [self._operator(name)(self, place, operand, operators) for name, operand in operators.items()]
        tests = tuple(test for test in found if test is not None)
        return tests[0] if len(tests) == 1 else Combine(How.ALL, tests)

    def _part(self, key: str, value: Any, inside: Place | None) -> Condition:
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise invalid_query(f"more than {MAX_CONDITIONS} conditions")
        if key in LOGIC:
            return self._logic(key, value, inside)
        if key.startswith("$"):
            known = f"{', '.join(LOGIC)} or the name of an attribute"
            raise invalid_query(f"unknown operator {key[:80]}, expected {known}{did_you_mean(key, LOGIC)}")
        place = self._places.find(key, inside)
        self._see(place)
        is_test = isinstance(value, dict) and any(name.startswith("$") for name in value)
        test = self.tests(place, value if is_test else {"$eq": value})
        return At(place, test) if place.constant is None else _of_constant(place, test)

    def _logic(self, key: str, value: Any, inside: Place | None) -> Condition:
        if not isinstance(value, list) or not value:
            raise invalid_query(f"{key} needs a list of conditions, got {shown(value)}")
        for part in value:
            if not isinstance(part, dict):
                raise invalid_query(f"{key} takes objects with conditions, got {shown(part)}")
        return Combine(LOGIC[key], tuple(self.condition(part, inside) for part in value))

    def _operator(self, name: str) -> Operator:
        operator = self._operators.get(name)
        if operator is None:
            known = self._operators
            raise invalid_query(
                f"unknown operator {name[:80]}, expected one of {', '.join(known)}{did_you_mean(name, known)}"
            )
        return operator


def _of_constant(place: Place, test: AnyTest) -> Condition:
    """The condition that holds for all documents or for none: they have the same value at the place."""
    holds = verdict_of(test, place, with_elements)([place.constant])
    return Combine(How.ALL if holds else How.ANY, ())


def shown(value: Any) -> str:
    """A value in an error message."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
