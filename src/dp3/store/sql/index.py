"""The index of current values: keys as SQLite compares them (numbers, then texts by code point, then bytes),
and changes of it."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from operator import itemgetter

from dp3.store.ports.snapshots import IndexKey, Key
from dp3.store.sql.session import Session

INT_MIN, INT_MAX = -(2**63), 2**63 - 1

FIRST_TEXT = ""
"""Above all numbers."""

FIRST_BYTES = b""
"""Above all texts."""


def storable(key: Key) -> Key:
    """A key as it is stored and asked for: integers that SQLite does not have become the nearest float."""
    if type(key) is int and not INT_MIN <= key <= INT_MAX:
        return float(key) if abs(key) < 2**1023 else (float("inf") if key > 0 else float("-inf"))
    return key


def kind_of(key: Key) -> type:
    """`float` for all numbers, `str` or `bytes`: keys of different kinds are never equal."""
    return float if isinstance(key, int | float) else type(key)


def prefix_end(prefix: str) -> str | bytes:
    """The smallest key above all texts that begin with `prefix`."""
    for length in range(len(prefix), 0, -1):
        code = ord(prefix[length - 1])
        if code < 0x10FFFF:
            return prefix[: length - 1] + chr(0xE000 if code == 0xD7FF else code + 1)
    return FIRST_BYTES


_TEXT_OR_BYTES = frozenset((str, bytes))
_key = itemgetter(1)


class IndexWriter:
    """Changes keys in the caller's transaction, in the order of the index, so that neighbours share pages."""

    def remove(self, session: Session, keys: Iterable[IndexKey]) -> None:
        """Remove keys; those that are not there do not matter."""
        rows = [row for _, of_path in _in_order(keys) for row in of_path]
        session.bulk("index.remove_keys", rows)

    def remove_all(self, session: Session, entities: Collection[int]) -> None:
        """Remove all keys of some entities."""
        if entities:
            session.run("index.remove_all_keys", (sorted(entities),))

    def add(self, session: Session, keys: Collection[IndexKey], first: Collection[int]) -> None:
        """Add keys, each given once; those that are there do not matter. `first`: entities that have no keys.

        Sizes of paths are counted here and not by a trigger, which takes as long as the rest together."""
        new = _in_order(row for row in keys if row[2] in first)
        session.bulk("index.add_keys", [row for _, of_path in new for row in of_path])
        counts = {path: (len(of_path), len(_entities(of_path))) for path, of_path in new}
        for path, of_path in _in_order(row for row in keys if row[2] not in first):
            entities = _entities(of_path)
            had = self._having(session, path, entities)
            added, fresh = session.bulk("index.add_keys", of_path), len(entities) - had
            of_new, new_entities = counts.get(path, (0, 0))
            counts[path] = of_new + added, new_entities + fresh
        session.bulk("index.count_keys", [(path, *of_path) for path, of_path in counts.items()])

    def _having(self, session: Session, path: int, entities: Collection[int]) -> int:
        """Number of those of the entities that have a key at a path."""
        wanted = {"entities": sorted(entities), "path": path}
        counted: int = session.value("index.having_path", wanted)
        return counted


def _entities(keys: Iterable[IndexKey]) -> set[int]:
    return {entity for _, _, entity in keys}


def _in_order(keys: Iterable[IndexKey]) -> list[tuple[int, list[IndexKey]]]:
    """Keys as they are stored, path by path, in the order of the index if they come in that of entities."""
    by_path: dict[int, list[IndexKey]] = defaultdict(list)
    for row in keys:
        by_path[row[0]].append(row)
    return [(path, _ordered(by_path[path])) for path in sorted(by_path)]


def _ordered(of_path: list[IndexKey]) -> list[IndexKey]:
    """Keys of one path. NaN has no place in the index."""
    kinds = {type(row[1]) for row in of_path}
    has_numbers = not kinds <= _TEXT_OR_BYTES
    if has_numbers:
        stored = {(row[0], storable(row[1]), row[2]): None for row in of_path if row[1] == row[1]}
        of_path = [*stored]
    if len(kinds & _TEXT_OR_BYTES) + has_numbers > 1:
        return sorted(of_path, key=lambda row: (kind_of(row[1]).__name__, row[1]))
    return sorted(of_path, key=_key)
