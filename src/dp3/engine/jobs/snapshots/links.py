"""Links inside values, wherever they may be: single, in lists, in lists of lists."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from dp3.engine.jobs.snapshots.doc import Doc
from dp3.history.confidence import Terms

Link: TypeAlias = dict[str, Any]
"""`{"eid": …}`, with `data` where the type has it and `record` while hooks run."""

Exists: TypeAlias = Callable[[str, Any], bool]
"""(entity type, eid as in the link) → whether the entity exists."""


def links_in(value: Any) -> Iterator[Link]:
    """All links of a relation's or mirror's value, in order; what has another shape is passed over."""
    if isinstance(value, dict):
        if "eid" in value:
            yield value
    elif isinstance(value, list):
        for item in value:
            yield from links_in(item)


def without_missing(doc: Doc, targets: Mapping[str, str], exists: Exists) -> Doc:
    """What is left of links to entities that do not exist, with `keep_empty: false`.

    `targets` names the relations to look at, each with the entity type that it links to. A single link goes
    with its confidence, and so do such values of a multi-valued relation. An array or set stays as it is if
    one of its targets exists or if it is empty. An attribute with nothing left has no value.
    """
    values, terms = dict(doc.values), dict(doc.terms)
    for attr, etype in targets.items():
        if attr not in values:
            continue
        several = terms.get(attr)
        if several is None or isinstance(several, Terms):
            if _is_missing(values[attr], etype, exists):
                del values[attr]
                terms.pop(attr, None)
            continue
        kept = [
            pair
            for pair in zip(values[attr], several, strict=True)
            if not _is_missing(pair[0], etype, exists)
        ]
        values[attr], terms[attr] = [value for value, _ in kept], [of_value for _, of_value in kept]
        if not kept:
            del values[attr], terms[attr]
    return Doc(values, terms, doc.literals)


def _is_missing(value: Any, etype: str, exists: Exists) -> bool:
    """Whether a link, or every link of a list, leads nowhere."""
    links = list(links_in(value))
    return bool(links) and not any(exists(etype, link["eid"]) for link in links)
