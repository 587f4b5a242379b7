"""Counts of each value of an attribute in the latest snapshots."""

from collections import Counter
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address

from dp3.clock import to_datetime
from dp3.engine.jobs.snapshots.keys import MAX_TEXT
from dp3.model.attrspec import AttrSpecClassic
from dp3.model.canonical import encode_json, ipv6_to_text, time_to_text
from dp3.model.errors import did_you_mean
from dp3.model.mac import MACAddress
from dp3.model.spec import ModelSpec
from dp3.model.type_text import DictOf, Primitive
from dp3.reads.errors import QueryError
from dp3.reads.listings import Listings
from dp3.reads.query.conditions import MISSING, reach
from dp3.reads.query.kinds import BOOL, TIME, Kind
from dp3.reads.query.operators import long_path
from dp3.reads.query.places import Indexed, Place, Places
from dp3.store.ports.queries import EVERYTHING, Has, Queries, Where
from dp3.store.ports.snapshots import Key

MAX_DISTINCT = 1_000_000


class DistinctValues:
    """Counts the values of attributes: by the index where it has them, by documents elsewhere."""

    def __init__(
        self, queries: Queries, listings: Listings, model: ModelSpec, places: Mapping[str, Places]
    ) -> None:
        self._queries = queries
        self._listings = listings
        self._model = model
        self._places = places

    def counts(self, etype: str, attr: str) -> dict[str, int]:
        """Value as text → number of entities, or of elements of lists; links by the id of their target.

        Raises `QueryError` for attributes that have no such values, `QueryTooSlow`."""
        spec = _checked(self._model, etype, attr)
        place = self._places[etype].at(f"{attr}.eid" if spec.is_relation else attr)
        if place.indexed in (Indexed.ONE, Indexed.MANY):
            keys = self._queries.distinct(etype, place.path)
            counts = Counter({_text(key, place.kind): count for key, count in keys.items()})
            long = self._texts(etype, place, Has(long_path(place.path)))
            counts.update(text for text in long if len(text) > MAX_TEXT)
        else:
            counts = Counter(self._texts(etype, place, EVERYTHING))
        if len(counts) > MAX_DISTINCT:
            raise QueryError(f"Attribute '{attr}' has more than {MAX_DISTINCT} values")
        return counts

    def _texts(self, etype: str, place: Place, where: Where) -> Iterator[str]:
        """The values in all snapshots that match, elements of lists one by one; what is no text as JSON."""
        for document in self._listings.all(etype, where):
            for value in reach(document, place.steps):
                for item in value if isinstance(value, list) else [value]:
                    if item is not None and item is not MISSING:
                        yield item if isinstance(item, str) else encode_json(item).decode()


def _checked(model: ModelSpec, etype: str, attr: str) -> AttrSpecClassic:
    spec = model.attributes.get((etype, attr))
    if spec is None:
        near = did_you_mean(attr, model.attribs(etype))
        raise QueryError(f"Attribute '{attr}' does not exist{near}")
    if not isinstance(spec, AttrSpecClassic):
        raise QueryError(f"Attribute '{attr}' isn't plain or observations")
    expr = spec.element_type.expr
    if isinstance(expr, DictOf) or expr == Primitive("json"):
        raise QueryError(f"Data type '{spec.data_type}' of attribute '{attr}' is not processable")
    return spec


def _text(key: Key, kind: Kind) -> str:
    """The text of the value that has this key."""
    if isinstance(key, str):
        return key
    if isinstance(key, bytes):
        return _address(key)
    if kind.rank == BOOL:
        return "true" if key else "false"
    if kind.rank == TIME and isinstance(key, int):
        return time_to_text(to_datetime(key))
    return encode_json(key).decode()


def _address(key: bytes) -> str:
    if len(key) == 4:
        return str(IPv4Address(key))
    if len(key) == 6:
        return str(MACAddress(key))
    return ipv6_to_text(IPv6Address(key[:16])) + key[16:].decode()
