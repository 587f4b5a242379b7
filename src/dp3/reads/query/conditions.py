"""A filter, understood, and whether a document meets it: the definition, and the answer where the index of
current values has none.

A condition is about a document, a test about the values at one place in it. As in MongoDB, a test of a
value holds for a list if it holds for the list itself or for one of its elements.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

from dp3.reads.query.places import Place
from dp3.store.ports.queries import Where

Check = Callable[[Any], bool]
"""A test of a document (or of an element of a list in one)."""

Verdict = Callable[[Sequence[Any]], bool]
"""A test of the values found at a place; `MISSING` stands where a path to it ends early."""

Candidates = Callable[[Sequence[Any]], Iterator[Any]]
"""Of the values found at a place those of which one has to pass a test of a single value."""

MISSING: Any = object()

_number = re.compile(r"0|[1-9][0-9]{0,8}")
"""The name of an element of a list; no list has more."""

Part = TypeVar("Part")


class Test:
    """A test of the values at one place.

    It looks at values by `accepts` or `verdict`. The index is used by `index` and `free`; where they are left
    as they are, each document is looked at."""

    __slots__ = ()

    def accepts(self, place: Place) -> Check:
        """The test of a single value; `MISSING` is one, too."""
        raise NotImplementedError

    def verdict(self, place: Place, candidates: Candidates) -> Verdict:
        """The test of all values found at the place."""
        accepts = self.accepts(place)
        return lambda found: any(accepts(value) for value in candidates(found))

    def index(self, place: Place, ask: Where) -> Where | None:
        """The query that tells exactly where values of the declared type pass; `ask` looks at each
        document. None if the index does not help."""
        return None

    def free(self, place: Place) -> Where | None:
        """The query that holds wherever something in JSON passes: there the index does not tell true
        from 1, nor nested lists from plain ones. None if it does not help."""
        return None


class How(Enum):
    """The share of the parts that has to hold."""

    ALL = "all"
    ANY = "any"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Combine(Generic[Part]):
    """Conditions about one document, or tests of the values at one place, each for itself."""

    how: How
    parts: tuple[Part, ...]


AnyTest = Test | Combine["AnyTest"]


@dataclass(frozen=True, slots=True)
class At:
    """A test of what is at a place."""

    place: Place
    test: AnyTest


Condition = At | Combine["Condition"]


def negated(test: AnyTest) -> Combine[AnyTest]:
    """Holds where the test fails."""
    return Combine(How.NONE, (test,))


def matcher(condition: Condition) -> Check:
    """The test of expanded snapshots: wire values, with `eid`, `#c` and `_time_created` where asked for."""
    if isinstance(condition, At):
        steps, verdict = condition.place.steps, verdict_of(condition.test, condition.place, with_elements)
        return lambda document: verdict(list(reach(document, steps)))
    return _combined(condition.how, [matcher(part) for part in condition.parts])


def verdict_of(test: AnyTest, place: Place, candidates: Candidates) -> Verdict:
    """The test of all values found at a place."""
    if isinstance(test, Combine):
        return _combined(test.how, [verdict_of(part, place, candidates) for part in test.parts])
    return test.verdict(place, candidates)


def _combined(how: How, checks: Sequence[Check]) -> Check:
    if how is How.ALL:
        return lambda found: all(check(found) for check in checks)
    if how is How.ANY:
        return lambda found: any(check(found) for check in checks)
    return lambda found: not any(check(found) for check in checks)


def reach(value: Any, steps: Sequence[str], at: int = 0) -> Iterator[Any]:
    """The values at the end of all paths: one leads through each object of a list, one by its number."""
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


def with_elements(found: Sequence[Any]) -> Iterator[Any]:
    """Values themselves, and elements of lists."""
    for value in found:
        yield value
        if isinstance(value, list):
            yield from value
