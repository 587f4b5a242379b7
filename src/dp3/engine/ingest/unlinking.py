"""Removal of links to deleted entities from the values and the history of others."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from dp3.engine.plans import FOREVER
from dp3.history.segments import decode_segments
from dp3.store.ports.batches import Batch, EndedLink, Tombstone
from dp3.store.ports.entities import ENTITY_SHIFT, HistoryRow
from dp3.store.ports.history import PackedRow
from dp3.store.ports.lifetimes import Lifetimes
from dp3.store.unlinked import is_older, plain_without, targets_of

MOST_REMOVALS = 1_000
"""History rows removed in one transaction: a scattered one costs up to some 20 µs."""

PAGE = 5_000
"""History rows looked at in one read."""

RELATIONS = 500
"""Relations looked at in one read."""

FIRST_PACKED = (-1 << 63, -1)
"""A place before that of all packed rows."""

Commit = Callable[[Batch], None]

Place = tuple[int, int]
"""The key of an entity, the number of an attribute."""

_Start = TypeVar("_Start", bound=tuple[int, ...])
"""An entity, an attribute, and after what to begin there."""


@dataclass(slots=True)
class Relation:
    """The removal of links from an attribute of an entity. An observation holds for `post` µs after its end;
    `until` says of each deleted entity until when there are links to it."""

    post: int
    until: dict[Tombstone, int] = field(default_factory=dict)

    def extend(self, targets: Iterable[Tombstone], end: int) -> None:
        """There are links until an end, if not longer."""
        self.until.update((target, max(self.until[target], end)) for target in targets)


class Unlinking:
    """Removes what mentions deleted entities and is older than their deletion; what is newer says until when
    they are linked. All of it goes to a batch; what does not fit is committed before."""

    def __init__(self, lifetimes: Lifetimes, batch: Batch, commit: Commit) -> None:
        self._lifetimes = lifetimes
        self._batch = batch
        self._commit = commit

    def remove(self, relations: Mapping[Place, Relation]) -> None:
        """Remove from these relations, of all that they have."""
        places = sorted(relations)
        self._remove_plain(relations, places)
        self._remove_history(relations, places)
        self._remove_packed(relations, places)
        self._batch.links_ended += [
            EndedLink(key, attr, tombstone.etype, tombstone.eid, end)
            for (key, attr), relation in relations.items()
            for tombstone, end in relation.until.items()
        ]

    def _remove_plain(self, relations: Mapping[Place, Relation], places: Sequence[Place]) -> None:
        for row in self._lifetimes.plain_values(places):
            relation = relations[row.entity, row.attr]
            relation.extend([target for target in relation.until if row.order > target.order], FOREVER)
            left = plain_without(row, relation.until)
            if left is None:
                self._batch.plain_removed.append((row.entity, row.attr))
            elif left is not row:
                self._batch.plain.append(left)

    def _remove_history(self, relations: Mapping[Place, Relation], places: Sequence[Place]) -> None:
        left = [(*place, -1) for place in places]
        while left:
            page = self._lifetimes.history_page(left[:RELATIONS], PAGE)
            for row in page:
                self._remove_history_row(row, relations[row.entity, row.attr])
            last = page[-1] if len(page) == PAGE else None
            left = left[RELATIONS:] if last is None else _from(left, (last.entity, last.attr, last.key))

    def _remove_history_row(self, row: HistoryRow, relation: Relation) -> None:
        found = targets_of(row, relation.until)
        older = [target for target in found if is_older(row.key, target)]
        relation.extend([target for target in found if target not in older], row.t2 + relation.post)
        if older:
            removed = self._batch.history_removed
            removed.append((row.entity, row.attr, row.key))
            if len(removed) > MOST_REMOVALS:
                self._commit(Batch(history_removed=removed[:MOST_REMOVALS]))
                del removed[:MOST_REMOVALS]

    def _remove_packed(self, relations: Mapping[Place, Relation], places: Sequence[Place]) -> None:
        """Packing waits for links that have to go. So nothing packed is newer than the deletion; or, if
        packing is past it because entries are read again, nothing that is older."""
        begun = self._lifetimes.packing_begun({key >> ENTITY_SHIFT for key, _ in places})
        newer = {
            place: {
                target
                for target in relation.until
                if not all(is_older(key, target) for key in begun.get(place[0] >> ENTITY_SHIFT, ()))
            }
            for place, relation in relations.items()
        }
        left = [(*place, *FIRST_PACKED) for place in places]
        while left:
            page = self._lifetimes.packed_page(left[:RELATIONS], PAGE)
            for row in page:
                place = row.entity, row.attr
                self._remove_packed_row(row, relations[place], newer[place])
            last = page[-1] if len(page) == PAGE else None
            left = left[RELATIONS:] if last is None else _from(left, (*last.subject, last.part))

    def _remove_packed_row(self, row: PackedRow, relation: Relation, newer: set[Tombstone]) -> None:
        found = targets_of(row, relation.until)
        if not newer.issuperset(found):
            removed = self._batch.packed_removed
            removed.append((row.entity, row.attr, row.tag, row.part))
            if len(removed) > MOST_REMOVALS:
                self._commit(Batch(packed_removed=removed[:MOST_REMOVALS]))
                del removed[:MOST_REMOVALS]
        elif found:
            end = max(t2 for _, t2, _, _ in decode_segments(row.segments))
            relation.extend(found, end + relation.post)


def _from(starts: Sequence[_Start], reached: _Start) -> list[_Start]:
    """The places that are left to begin at, when those before one and a part of this have been read."""
    number = next(number for number, start in enumerate(starts) if start[:2] == reached[:2])
    return [reached, *starts[number + 1 :]]
