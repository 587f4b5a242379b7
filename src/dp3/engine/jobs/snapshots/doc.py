"""The stored form of a snapshot: self-contained, and the same bytes if and only if nothing has changed.

Confidences (`attr#c`) fall with time although nothing happens; so their terms are stored, and the numbers
are made for the time of each run. Those that a hook has set are stored as they are (`literals`).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from dp3.history.confidence import Terms, confidence

CONFIDENCE = "#c"
"""The suffix that makes the name of an attribute that of its confidence."""

NO_LITERALS: Mapping[str, Any] = {}


class Doc(NamedTuple):
    """`values`: wire values by name, first `eid`; no name in it ends in `#c`. `terms`: by attribute, a list
    for multi-valued ones. `literals`: `#c` by their full names."""

    values: Mapping[str, Any]
    terms: Mapping[str, Terms | list[Terms]]
    literals: Mapping[str, Any] = NO_LITERALS


class _Stored(msgspec.Struct, array_like=True, gc=False):
    """Lists keep the order of values, which maps would not: keys of maps are sorted in the encoded form."""

    names: list[str]
    values: list[Any]
    single: list[Terms | None]
    several: dict[str, list[Terms]]
    literals: dict[str, Any]


_encode = msgspec.msgpack.Encoder(order="sorted").encode
_decode = msgspec.msgpack.Decoder(_Stored).decode


def encode_doc(doc: Doc) -> bytes:
    """The stored form; equal for equal documents, whatever the order of keys inside values."""
    values, terms, literals = doc
    names = [*values]
    single: list[Any] = [*map(terms.get, names)]
    several: dict[str, list[Terms]] = {}
    for index, of in enumerate(single):
        if type(of) is list:
            several[names[index]] = of
            single[index] = None
    return _encode(_Stored(names, [*values.values()], single, several, dict(literals)))


def decode_doc(data: bytes) -> Doc:
    """The inverse of `encode_doc`; raises `msgspec.ValidationError` for anything else."""
    stored = _decode(data)
    terms: dict[str, Terms | list[Terms]] = {
        name: single for name, single in zip(stored.names, stored.single, strict=True) if single is not None
    }
    if stored.several:
        terms |= stored.several
    return Doc(dict(zip(stored.names, stored.values, strict=True)), terms, stored.literals)


def expand(doc: Doc, t: int) -> dict[str, Any]:
    """The snapshot at `t` (µs, the time of a run): values in their order, each followed by its `#c`,
    then `#c` without a value. Values are not copied.
    """
    values, terms, literals = doc
    snapshot: dict[str, Any] = {}
    for name, value in values.items():
        snapshot[name] = value
        of = terms.get(name)
        if of is not None:
            snapshot[name + CONFIDENCE] = (
                [confidence(one, t) for one in of] if isinstance(of, list) else confidence(of, t)
            )
        elif literals and (key := name + CONFIDENCE) in literals:
            snapshot[key] = literals[key]
    for key in sorted(literals.keys() - snapshot.keys()) if literals else ():
        snapshot[key] = literals[key]
    return snapshot
