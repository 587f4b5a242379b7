"""Whether a document meets a condition: the definition, and the answer where the index has none."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, assert_never

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
from dp3.reads.query.kinds import NONE, Comparable, type_matches
from dp3.reads.query.places import Place

Document = Mapping[str, Any]

Check = Callable[[Any], bool]
"""A test of a document (or of an element of a list in one)."""

Verdict = Callable[[Sequence[Any]], bool]
"""A test of the values found at a place; `MISSING` stands where a way to it ends early."""

Candidates = Callable[[Sequence[Any]], Iterator[Any]]
"""Of the values found at a place those of which one has to pass a test of a single value."""

Scalar = Callable[[Any], bool]

MISSING: Any = object()

_number = re.compile(r"0|[1-9][0-9]{0,8}")
"""How an element of a list is named; no list has more."""


def matcher(condition: Condition) -> Check:
    """The test of expanded snapshots: wire values, with `eid`, `#c` and `_time_created` where asked for."""
    if isinstance(condition, At):
        return _at(condition)
    checks = [matcher(part) for part in condition.conditions]
    if isinstance(condition, AllOf):
        return lambda document: all(check(document) for check in checks)
    if isinstance(condition, AnyOf):
        return lambda document: any(check(document) for check in checks)
    if isinstance(condition, NoneOf):
        return lambda document: not any(check(document) for check in checks)
    assert_never(condition)


def _at(condition: At) -> Check:
    steps, verdict = condition.place.steps, _verdict(condition.place, condition.test, _with_elements)
    return lambda document: verdict(list(reach(document, steps)))


def reach(value: Any, steps: Sequence[str], at: int = 0) -> Iterator[Any]:
    """The values at the end of all ways: one leads through each object of a list, one by its number."""
    if at == len(steps):
        yield value
    elif isinstance(value, dict):
        if steps[at] in value:
            yield from reach(value[steps[at]], steps, at + 1)
        else:
            yield MISSING
    elif isinstance(value, list):
        for element in value:
            if isinstance(element, dict):
                yield from reach(element, steps, at)
        if _number.fullmatch(steps[at]) and int(steps[at]) < len(value):
            yield from reach(value[int(steps[at])], steps, at + 1)
    else:
        yield MISSING


def _verdict(place: Place, test: Test, candidates: Candidates) -> Verdict:
    if isinstance(test, Neither):
        negated = _verdict(place, test.test, candidates)
        return lambda found: not negated(found)
    if isinstance(test, Every):
        verdicts = [_verdict(place, part, candidates) for part in test.tests]
        return lambda found: all(verdict(found) for verdict in verdicts)
    if isinstance(test, Exists):
        absent = (MISSING,) if place.is_free else (MISSING, None)
        return lambda found: any(value not in absent for value in found)
    if isinstance(test, Size):
        return lambda found: any(isinstance(value, list) and len(value) == test.length for value in found)
    if isinstance(test, Element):
        check = _element_check(place, test)
        return lambda found: any(check(item) for value in found if isinstance(value, list) for item in value)
    scalar = _scalar(place, test)
    return lambda found: any(scalar(value) for value in candidates(found))


def _with_elements(found: Sequence[Any]) -> Iterator[Any]:
    """Values themselves, and elements of lists."""
    for value in found:
        yield value
        if isinstance(value, list):
            yield from value


def _element_check(place: Place, test: Element) -> Check:
    """A list in a list counts as a whole, or as an object with the numbers of its elements as keys."""
    if test.condition is not None:
        check = matcher(test.condition)
        return lambda item: isinstance(item, dict | list) and check(_as_object(item))
    assert test.test is not None
    verdict = _verdict(place, test.test, iter)
    return lambda item: verdict([item])


def _as_object(item: dict[str, Any] | list[Any]) -> Document:
    return item if isinstance(item, dict) else {str(number): value for number, value in enumerate(item)}


def _scalar(place: Place, test: In | Range | Matches | OfType) -> Scalar:
    of_document = place.kind.of_document

    def comparable(value: Any) -> Comparable:
        return NONE if value is MISSING else of_document(value)

    if isinstance(test, In):
        wanted = frozenset(test.values)
        if not test.ranges:
            return lambda value: comparable(value) in wanted
        return lambda value: (
            comparable(value) in wanted or any(_within(comparable(value), part) for part in test.ranges)
        )
    if isinstance(test, Range):
        return lambda value: _within(comparable(value), test)
    if isinstance(test, Matches):
        return _text_check(place, test)
    return lambda value: (
        value is not MISSING and any(type_matches(comparable(value), name) for name in test.names)
    )


def _text_check(place: Place, test: Matches) -> Scalar:
    if place.is_id:
        return lambda value: type(value) in (str, int) and test.search(str(value))
    return lambda value: type(value) is str and test.search(value)


def _within(value: Comparable, bounds: Range) -> bool:
    low, high = bounds.low, bounds.high
    if low is not None and (value[0] != low[0] or value < low or (bounds.low_open and value == low)):
        return False
    return high is None or not (value[0] != high[0] or value > high or (bounds.high_open and value == high))
