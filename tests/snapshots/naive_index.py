"""The index of current values by definition: all scalars of all latest snapshots."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address
from typing import Any

from dp3.store.ports.queries import And, Between, DocMatches, Has, Not, OneOf, Or, TextMatches, Where
from dp3.store.ports.snapshots import Key

Doc = dict[str, Any]

ADDRESSES = {"ip"}
"""Attributes whose texts are addresses."""


def keys(doc: Doc) -> dict[str, set[Key]]:
    """Path → keys; confidences are not in the index."""
    found: dict[str, set[Key]] = {}
    for name, value in doc.items():
        if not name.endswith("#c"):
            for path, key in _scalars(name, value):
                found.setdefault(path, set()).add(IPv4Address(key).packed if path in ADDRESSES else key)
    return found


def _scalars(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _scalars(f"{path}.{name}", part)
    elif isinstance(value, list):
        for part in value:
            yield from _scalars(path, part)
    elif value is not None:
        yield path, int(value) if isinstance(value, bool) else value


def distinct(docs: Iterable[Doc], path: str) -> dict[Key, int]:
    """Key → number of entities that have it."""
    return dict(Counter(key for doc in docs for key in keys(doc).get(path, ())))


def holds(where: Where, doc: Doc) -> bool:
    """Whether a condition that needs nothing but keys holds for a snapshot."""
    match where:
        case And(parts):
            return all(holds(part, doc) for part in parts)
        case Or(parts):
            return any(holds(part, doc) for part in parts)
        case Not(part):
            return not holds(part, doc)
        case Has(path):
            return path in keys(doc)
        case OneOf(path, wanted):
            return not keys(doc).get(path, set()).isdisjoint(wanted)
        case Between(path):
            return any(_lies_between(where, key) for key in keys(doc).get(path, ()))
        case TextMatches(path, test):
            return any(isinstance(key, str) and test(key) for key in keys(doc).get(path, ()))
        case DocMatches():
            raise ValueError("asks for stored documents, which the naive model does not have")


def _lies_between(where: Between, key: Any) -> bool:
    low: Any = where.low
    high: Any = where.high
    try:
        above = low is None or (key > low if where.low_open else key >= low)
        return above and (high is None or (key < high if where.high_open else key <= high))
    except TypeError:
        return False


def matching(where: Where, docs: Mapping[str, Doc]) -> set[str]:
    """Ids of the entities for whose latest snapshot the condition holds."""
    return {eid for eid, doc in docs.items() if holds(where, doc)}
