"""The form in which profiles leave the file: a line of JSON, with values as hexadecimal digits.

SQLite makes a page of them in one step, which takes the interpreter's lock for a moment only; a profile is
decoded in one step when it is used.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from dp3.history.scan import StoredScan, Told, scan_of, stored_scan
from dp3.history.segments import SegmentRow, decode_segments
from dp3.model.wire import decode_value, encode_value
from dp3.store.ports.batches import Tombstone
from dp3.store.ports.entities import (
    EncodedProfile,
    HistoryRow,
    PackedHistory,
    PlainRow,
    Profile,
    StoredChunk,
    StoredPlain,
    Token,
)
from dp3.store.sql.session import Session
from dp3.store.unlinked import Gone, packed_without, rows_without

_Packed: TypeAlias = tuple[int, Token, str]
"""Number of the attribute, value, segments in hexadecimal digits."""

_Line: TypeAlias = tuple[
    int,
    int,
    list[StoredPlain],
    list[tuple[int, list[SegmentRow[Token]]]],
    list[StoredChunk],
    dict[str, int],
    list[_Packed],
    list[tuple[int, int, StoredScan]] | None,
    list[tuple[int, Told[Token]]],
]
"""The fields of a `Profile`; its scans, with number of the attribute and moment, are after what is packed.
None if the whole was asked for."""

_decode: Callable[[EncodedProfile], _Line] = msgspec.json.Decoder(_Line).decode


def decode_profile(encoded: EncodedProfile) -> tuple[Profile, int]:
    """See `Entities.decode_profile`; and of how many attributes all that is packed was read for want of a
    scan."""
    key, created, plain, observed, chunks, ttl, packed, stored, told = _decode(encoded)
    whole = 0
    if packed:
        observed, chunks = _unpacked(observed, chunks, packed)
        whole = 0 if stored is None else len({attr for attr, _, _ in packed})
    scans = {attr: scan_of(at, scan) for attr, at, scan in stored or ()}
    return Profile(key, created, plain, observed, chunks, ttl, scans, dict(told)), whole


def decode_token(token: Token) -> Any:
    """See `Entities.decode_value`."""
    return decode_value(bytes.fromhex(token))


def encode_token(value: Any) -> Token:
    """See `Entities.encode_value`."""
    return encode_value(value).hex().upper()


def _unpacked(
    observed: list[tuple[int, list[SegmentRow[Token]]]], chunks: list[StoredChunk], packed: Iterable[_Packed]
) -> tuple[list[tuple[int, list[SegmentRow[Token]]]], list[StoredChunk]]:
    rows_of = dict(observed)
    for attr, v, segments in packed:
        rows = rows_of.setdefault(attr, [])
        for t1, t2, c_sum, n in decode_segments(bytes.fromhex(segments)):
            if c_sum is None:
                chunks.append((attr, t1, t2, v))
            else:
                rows.append((t1, t2, c_sum, v, n))
    return [(attr, rows) for attr, rows in rows_of.items() if rows], chunks


class RemovedLinks:
    """Links to deleted entities that are still stored, which readers must not see. Asks in a
    reader's transaction."""

    def of(self, session: Session, keys: Sequence[int]) -> Mapping[int, Gone]:
        """Links removed from entities, by key; mostly nobody has any, and nothing else is looked up."""
        found: dict[int, dict[int, list[Tombstone]]] = {}
        if session.value("entities.any_tombstone"):
            for key, attr, *tombstone in session.rows("entities.removed_links", (list(keys),)):
                found.setdefault(key, {}).setdefault(attr, []).append(Tombstone._make(tombstone))
        return found

    def hidden(self, session: Session, encoded: EncodedProfile, gone: Gone) -> EncodedProfile:
        """A profile without them."""
        return _encode(self.without(session, decode_profile(encoded)[0], gone))

    def without(self, session: Session, profile: Profile, gone: Gone) -> Profile:
        """A profile without them, with the whole history of the attributes that have some."""
        history: list[HistoryRow] = []
        packed: list[PackedHistory] = []
        for attr in gone:
            place = (profile.key, attr)
            history += map(HistoryRow._make, session.rows("entities.history_of_attr", place))
            packed += [
                (attr, v, [*decode_segments(segments)])
                for _, v, segments in session.rows("entities.packed_of_attr", place)
            ]
        return _without(profile, history, packed, gone)


def _without(
    profile: Profile, history: Iterable[HistoryRow], packed: Iterable[PackedHistory], gone: Gone
) -> Profile:
    """`history` and `packed` have all rows of the attributes that are concerned."""
    rows = (
        PlainRow(profile.key, attr, order, written, bytes.fromhex(v))
        for attr, order, written, v in profile.plain
    )
    plain, left = rows_without(rows, history, gone)
    observed = {attr: points for attr, points in profile.observed if attr not in gone}
    for row in left:
        if row.c is not None:
            observed.setdefault(row.attr, []).append((row.t1, row.t2, row.c, row.v.hex().upper(), 1))
    for attr, v, segments in packed_without(packed, gone):
        token = v.hex().upper()
        observed.setdefault(attr, []).extend((t1, t2, c or 0, token, n) for t1, t2, c, n in segments)
    return msgspec.structs.replace(
        profile,
        plain=[(*row[1:4], row.v.hex().upper()) for row in plain],
        observed=list(observed.items()),
        scans={attr: scan for attr, scan in profile.scans.items() if attr not in gone},
        told={attr: told for attr, told in profile.told.items() if attr not in gone},
    )


def _encode(profile: Profile) -> str:
    *fields, scans, told = msgspec.structs.astuple(profile)
    stored = [(attr, scan.at, stored_scan(scan)) for attr, scan in scans.items()]
    return msgspec.json.encode((*fields, [], stored, [*told.items()])).decode()
