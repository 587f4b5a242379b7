"""Removal of links to deleted entities from values and histories. Pure."""

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from dp3.model.wire import decode_value, encode_value
from dp3.store.ports.batches import Tombstone
from dp3.store.ports.entities import HistoryRow, PackedHistory, PlainRow
from dp3.store.ports.history import PackedRow, history_key, lane_of

NOTHING = object()
"""Stands for no value; null is a value."""

Gone = Mapping[int, Sequence[Tombstone]]
"""Attribute → deleted entities to which it may still have links."""


def mentions(value: Any, targets: Container[str]) -> bool:
    """True if a link, or one of a list of links, leads to one of the targets (eids as text).

    >>> mentions([{"eid": 7}], {"7"})
    True
    """
    return any(_leads_to(link, targets) for link in (value if isinstance(value, list) else (value,)))


def without(value: Any, targets: Container[str]) -> Any:
    """The rest of a plain value: of a list the other elements, of a single link or an emptied list
    `NOTHING`."""
    if not mentions(value, targets):
        return value
    if not isinstance(value, list):
        return NOTHING
    return [link for link in value if not _leads_to(link, targets)] or NOTHING


def _leads_to(link: Any, targets: Container[str]) -> bool:
    return isinstance(link, dict) and str(link.get("eid")) in targets


def plain_without(row: PlainRow, tombstones: Iterable[Tombstone]) -> PlainRow | None:
    """A plain value without links to entities that were deleted since it was written; the same row if there
    are none, None if nothing is left."""
    gone = {tombstone.eid for tombstone in tombstones if row.order <= tombstone.order}
    if not gone:
        return row
    value = decode_value(row.v)
    left = without(value, gone)
    if left is value:
        return row
    return None if left is NOTHING else row._replace(v=encode_value(left))


def is_older(key: int, tombstone: Tombstone) -> bool:
    """True if a history row was sent before a deletion."""
    lane = lane_of(key)
    return key < history_key(lane, (tombstone.main, tombstone.derived)[lane] + 1, 0)


def targets_of(row: HistoryRow | PackedRow, tombstones: Iterable[Tombstone]) -> list[Tombstone]:
    """Deleted entities that a row mentions, whichever came first."""
    value = decode_value(row.v)
    return [tombstone for tombstone in tombstones if mentions(value, {tombstone.eid})]


def is_gone(row: HistoryRow, tombstones: Sequence[Tombstone]) -> bool:
    """True if a row mentions an entity that was deleted since it was sent."""
    older = [tombstone for tombstone in tombstones if is_older(row.key, tombstone)]
    return bool(older and targets_of(row, older))


def rows_without(
    plain: Iterable[PlainRow], history: Iterable[HistoryRow], gone: Gone
) -> tuple[list[PlainRow], list[HistoryRow]]:
    """Rows as readers see them while links to deleted entities are still to be removed."""
    left = (plain_without(row, gone.get(row.attr, ())) for row in plain)
    return (
        [row for row in left if row is not None],
        [row for row in history if not is_gone(row, gone.get(row.attr, ()))],
    )


def packed_without(packed: Iterable[PackedHistory], gone: Gone) -> list[PackedHistory]:
    """The same for packed rows, which are older than all deletions."""
    left = []
    for row in packed:
        attr, v, _ = row
        deleted = {tombstone.eid for tombstone in gone.get(attr, ())}
        if not (deleted and mentions(decode_value(v), deleted)):
            left.append(row)
    return left
