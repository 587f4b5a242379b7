"""The filters of a request together: `generic_filter` and `fulltext_filters`."""

from collections.abc import Mapping
from typing import Any

from dp3.model.attrspec import AttrSpecType
from dp3.model.errors import did_you_mean
from dp3.reads.errors import QueryError
from dp3.reads.query.conditions import At, Combine, Condition, How
from dp3.reads.query.operators import OPERATORS, text_test
from dp3.reads.query.parsing import See, parse_filter
from dp3.reads.query.places import Places
from dp3.reads.query.regex import Regex

EVERYTHING: Condition = Combine(How.ALL, ())


def parse_filters(
    places: Places, attribs: Mapping[str, AttrSpecType], fulltext: Any, generic: Any, see: See
) -> Condition:
    """The condition for both filters (decoded JSON, None if not given); `see` is called with each place of
    which the generic filter speaks.

    A condition of the fulltext filter replaces that of the generic filter on the same attribute. Raises
    `QueryError`."""
    if fulltext is not None and not isinstance(fulltext, dict):
        raise QueryError("Fulltext filter is invalid")
    if generic is not None and not isinstance(generic, dict):
        raise QueryError("Generic filter is invalid")
    texts = _fulltext(places, attribs, fulltext) if fulltext else {}
    kept = {name: value for name, value in (generic or {}).items() if places.path(name) not in texts}
    condition = parse_filter(places, OPERATORS, kept, see) if kept else EVERYTHING
    return Combine(How.ALL, (condition, *texts.values()))


def _fulltext(
    places: Places, attribs: Mapping[str, AttrSpecType], filters: Mapping[str, Any]
) -> dict[str, Condition]:
    """Path → condition. An empty pattern is no condition."""
    conditions: dict[str, Condition] = {}
    for attr, pattern in filters.items():
        if attr not in attribs and attr != "eid":
            near = did_you_mean(attr, [*attribs, "eid"])
            raise QueryError(f"Attribute '{attr}' in fulltext filter doesn't exist{near}")
        if not isinstance(pattern, str):
            raise QueryError(f"Filter '{pattern}' is not string")
        if pattern:
            place = places.at(f"{attr}.eid" if attr in places.relations else attr)
            conditions[place.path] = At(place, text_test(Regex(pattern, "i")))
    return conditions
