"""How often each value of an attribute occurs in the latest snapshots."""

from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from dp3.clock import to_datetime
from dp3.engine.jobs.snapshots.keys import MAX_TEXT
from dp3.model.attrspec import AttrSpecClassic
from dp3.model.canonical import encode_json, ipv6_to_text, time_to_text
from dp3.model.mac import MACAddress
from dp3.model.spec import ModelSpec
from dp3.model.type_text import DictOf, Primitive
from dp3.reads.query.errors import QueryError
from dp3.reads.query.kinds import BOOL, TIME, Kind
from dp3.reads.query.matching import MISSING, reach
from dp3.reads.query.places import Indexed, Place, Places
from dp3.reads.query.planning import long_path
from dp3.reads.snapshots import Snapshots
from dp3.store.ports.queries import EVERYTHING, Has, Where
from dp3.store.ports.snapshots import Key
from dp3.store.ports.state import State

MAX_DISTINCT = 1_000_000


def distinct_counts(state: State, model: ModelSpec, etype: str, attr: str) -> dict[str, int]:
    """Value as text → number of entities, or of elements of lists; links by the id of their target.

    Raises `QueryError` for attributes that have no such values."""
    spec = _checked(model, etype, attr)
    place = Places(model, etype).find(f"{attr}.eid" if spec.is_relation else attr)
    if place.indexed in (Indexed.ONE, Indexed.MANY):
        keys = state.queries.distinct(etype, place.path)
        counts = Counter({_text(key, place.kind): count for key, count in keys.items()})
        counts.update(
            text for text in _texts(state, etype, place, Has(long_path(place.path))) if _is_long(text)
        )
    else:
        counts = Counter(_texts(state, etype, place, EVERYTHING))
    if len(counts) > MAX_DISTINCT:
        raise QueryError(f"Attribute '{attr}' has more than {MAX_DISTINCT} values")
    return counts


def _checked(model: ModelSpec, etype: str, attr: str) -> AttrSpecClassic:
    spec = model.attributes.get((etype, attr))
    if spec is None:
        raise QueryError(f"Attribute '{attr}' does not exist")
    if not isinstance(spec, AttrSpecClassic):
        raise QueryError(f"Attribute '{attr}' isn't plain or observations")
    expr = spec.element_type.expr
    if isinstance(expr, DictOf) or expr == Primitive("json"):
        raise QueryError(f"Data type '{spec.data_type}' of attribute '{attr}' is not processable")
    return spec


def _texts(state: State, etype: str, place: Place, where: Where) -> Iterator[str]:
    """The values in all snapshots that match, elements of lists one by one; what is no text as JSON."""
    for document in Snapshots(state).all(etype, where):
        for value in reach(document, place.steps):
            for item in value if isinstance(value, list) else [value]:
                if item is not None and item is not MISSING:
                    yield item if isinstance(item, str) else encode_json(item).decode()


def _is_long(text: str) -> bool:
    return len(text) > MAX_TEXT


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
