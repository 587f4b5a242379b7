"""Changing the index of current values."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import apsw

from dp3.sqlite import load_statements
from dp3.store.snapshots import Key
from dp3.store.sqlite.keys import kind_of, storable

_Place = tuple[Key, int]
"""Key and entity."""


class IndexWriter:
    """Changes keys in the caller's transaction, in the order of the index, so that neighbours share pages."""

    def __init__(self) -> None:
        self._sql = load_statements("dp3.store.sqlite", "index.sql")

    def remove(self, connection: apsw.Connection, keys: Iterable[tuple[int, int, Key]]) -> None:
        """Remove (entity, path, key); those that are not there do not matter."""
        for path, places in _by_path(keys).items():
            removed = ((path, key, entity) for key, entity in places)
            connection.executemany(self._sql["remove_key"], removed)

    def remove_others(
        self, connection: apsw.Connection, entities: Iterable[int], keys: Iterable[tuple[int, int, Key]]
    ) -> None:
        """Remove all keys of some entities but these (entity, path, key)."""
        kept = {(entity, path, storable(key)) for entity, path, key in keys}
        wanted = ((entity,) for entity in sorted(entities))
        stored: list[Any] = connection.executemany(self._sql["keys_of_entity"], wanted).fetchall()
        self.remove(connection, set(stored) - kept)

    def add(
        self, connection: apsw.Connection, keys: Iterable[tuple[int, int, Key]], first: Collection[int]
    ) -> None:
        """Add (entity, path, key); those that are there do not matter. `first`: entities that have no keys.

        Sizes of paths are counted here and not by a trigger, which takes as long as the rest together."""
        for path, places in _by_path(keys).items():
            entities = {entity for _, entity in places}
            had = self._having(connection, path, sorted(entities.difference(first)))
            before = connection.total_changes()
            connection.executemany(self._sql["add_key"], ((path, key, entity) for key, entity in places))
            added = connection.total_changes() - before
            connection.execute(self._sql["count_keys"], (path, added, len(entities) - had))

    def _having(self, connection: apsw.Connection, path: int, entities: Sequence[int]) -> int:
        """How many of the entities have a key at a path."""
        wanted = ({"entity": entity, "path": path} for entity in entities)
        return sum(1 for _ in connection.executemany(self._sql["has_path"], wanted))


def _by_path(keys: Iterable[tuple[int, int, Key]]) -> dict[int, list[_Place]]:
    """Path → its keys in order. NaN has no place in an index."""
    by_path: defaultdict[int, list[_Place]] = defaultdict(list)
    for entity, path, key in keys:
        if key == key:
            by_path[path].append((key if type(key) is str else storable(key), entity))
    for places in by_path.values():
        _sort(places)
    return by_path


def _sort(places: list[_Place]) -> None:
    try:
        places.sort()
    except TypeError:  # numbers, texts and bytes at one path
        places.sort(key=lambda place: (kind_of(place[0]).__name__, place[0]))
