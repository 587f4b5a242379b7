"""What is left of values and histories when the targets of links are deleted. Pure."""

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from dp3.model.wire import decode_value, encode_value
from dp3.store.ports.batches import Tombstone
from dp3.store.ports.entities import HistoryRow, PackedHistory, PlainRow, Profile
from dp3.store.ports.history import history_key, lane_of
from dp3.store.ports.lifetimes import PackedValue

NOTHING = object()
"""What is left when the attribute has no value any more; null is one."""

Gone = Mapping[int, Sequence[Tombstone]]
"""Attribute → deleted entities to which it may still have links."""


def mentions(value: Any, targets: Container[str]) -> bool:
    """Whether a link, or one of a list of links, leads to one of the targets (eids as text).

    >>> mentions([{"eid": 7}], {"7"})
    True
    """
    return any(_leads_to(link, targets) for link in (value if isinstance(value, list) else (value,)))


def without(value: Any, targets: Container[str]) -> Any:
    """What is left of a plain value: of a list the other elements, of a single link or an emptied list
    `NOTHING`."""
    if not mentions(value, targets):
        return value
    if not isinstance(value, list):
        return NOTHING
    return [link for link in value if not _leads_to(link, targets)] or NOTHING


def _leads_to(link: Any, targets: Container[str]) -> bool:
    return isinstance(link, dict) and str(link.get("eid")) in targets


def plain_without(row: PlainRow, stones: Iterable[Tombstone]) -> PlainRow | None:
    """A plain value without links to entities that were deleted since it was written; the same row if there
    are none, None if nothing is left."""
    gone = {stone.eid for stone in stones if row.written <= stone.at}
    if not gone:
        return row
    value = decode_value(row.v)
    left = without(value, gone)
    if left is value:
        return row
    return None if left is NOTHING else row._replace(v=encode_value(left))


def is_older(key: int, stone: Tombstone) -> bool:
    """Whether a history row was sent before a deletion."""
    lane = lane_of(key)
    return key < history_key(lane, (stone.main, stone.derived)[lane] + 1, 0)


def targets_of(row: HistoryRow | PackedValue, stones: Iterable[Tombstone]) -> list[Tombstone]:
    """Those of the deleted entities that a row mentions, whichever came first."""
    value = decode_value(row.v)
    return [stone for stone in stones if mentions(value, {stone.eid})]


def is_gone(row: HistoryRow, stones: Sequence[Tombstone]) -> bool:
    """Whether a row mentions an entity that was deleted since it was sent."""
    older = [stone for stone in stones if is_older(row.key, stone)]
    return bool(older and targets_of(row, older))


def rows_without(
    plain: Iterable[PlainRow], history: Iterable[HistoryRow], gone: Gone
) -> tuple[list[PlainRow], list[HistoryRow]]:
    """What readers see while links to deleted entities are still to be removed."""
    left = (plain_without(row, gone.get(row.attr, ())) for row in plain)
    return (
        [row for row in left if row is not None],
        [row for row in history if not is_gone(row, gone.get(row.attr, ()))],
    )


def packed_without(packed: Iterable[PackedHistory], gone: Gone) -> list[PackedHistory]:
    """The same for packed rows, which are older than all deletions."""
    return [
        row
        for row in packed
        if row.attr not in gone or not mentions(decode_value(row.v), {stone.eid for stone in gone[row.attr]})
    ]


def profile_without(
    profile: Profile, history: Iterable[HistoryRow], packed: Iterable[PackedHistory], gone: Gone
) -> Profile:
    """The same for a profile; `history` and `packed` have all rows of the attributes that are concerned."""
    rows = (PlainRow(profile.key, attr, at, bytes.fromhex(v)) for attr, at, v in profile.plain)
    plain, left = rows_without(rows, history, gone)
    observed = {attr: points for attr, points in profile.observed if attr not in gone}
    for row in left:
        if row.c is not None:
            observed.setdefault(row.attr, []).append((row.t1, row.t2, row.c, row.v.hex().upper(), 1))
    for attr, v, segments in packed_without(packed, gone):
        v_hex = v.hex().upper()
        observed.setdefault(attr, []).extend((t1, t2, c or 0, v_hex, n) for t1, t2, c, n in segments)
    return msgspec.structs.replace(
        profile,
        plain=[(row.attr, row.written, row.v.hex().upper()) for row in plain],
        observed=list(observed.items()),
    )
