"""A filter, understood: what `parsing` makes of it, `matching` asks a document and `planning` the index.

A condition is about a document, a test about the values at one place in it. As in MongoDB, a test of a
value holds for a list if it holds for the list itself or for one of its elements.
"""

from collections.abc import Callable
from dataclasses import dataclass

from dp3.reads.query.kinds import Comparable
from dp3.reads.query.places import Place


@dataclass(frozen=True, slots=True)
class Range:
    """Values of the kind of the bounds, within them; a bound that is None does not limit."""

    low: Comparable | None = None
    high: Comparable | None = None
    low_open: bool = False
    high_open: bool = False


@dataclass(frozen=True, slots=True)
class In:
    """Values equal to one of these, or in one of the ranges. Equal to null is also what is missing."""

    values: tuple[Comparable, ...]
    ranges: tuple[Range, ...] = ()


@dataclass(frozen=True, slots=True)
class Matches:
    """Texts in which a regular expression occurs; ids and addresses are searched in their text form.
    `search` tests a text; `pattern`, `flags` and `prefix` are as the state takes them (`TextMatches`)."""

    search: Callable[[str], bool]
    pattern: str
    flags: str
    prefix: str


@dataclass(frozen=True, slots=True)
class OfType:
    """Values of one of these types, named as in MongoDB."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exists:
    """There is a value. Null counts where anything may stand, but not where a type is declared."""


@dataclass(frozen=True, slots=True)
class Size:
    """Lists of this length."""

    length: int


@dataclass(frozen=True, slots=True)
class Element:
    """Lists one element of which meets the condition, or passes the tests."""

    condition: "Condition | None"
    test: "Test | None"


@dataclass(frozen=True, slots=True)
class Neither:
    """The test fails."""

    test: "Test"


@dataclass(frozen=True, slots=True)
class Every:
    """All of the tests hold, each for itself; none is always true."""

    tests: tuple["Test", ...]


Test = In | Range | Matches | OfType | Exists | Size | Element | Neither | Every


@dataclass(frozen=True, slots=True)
class At:
    """A test of what is at a place."""

    place: Place
    test: Test


@dataclass(frozen=True, slots=True)
class AllOf:
    conditions: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    conditions: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class NoneOf:
    conditions: tuple["Condition", ...]


Condition = At | AllOf | AnyOf | NoneOf

NOTHING = In(())
"""A test that always fails."""
