"""Keys of the entities that exist: a bounded cache in front of the state."""

from collections.abc import Iterable

from dp3.store.ports.entities import ENTITY_SHIFT, Entities

Identity = tuple[int, str]
"""Number of the entity type, entity id as text."""

_ABSENT = 0
"""Cached for entities known not to exist; real keys start at 1."""


class EntityIndex:
    """Keys of entities, for one worker thread.

    Two generations bound the memory: when the young one has reached half the capacity it becomes the old
    one and the old one is dropped; what is used again moves to the young one.
    """

    def __init__(self, entities: Entities, capacity: int) -> None:
        self._entities = entities
        self._half = max(capacity // 2, 1)
        self.begin()

    def begin(self) -> None:
        """Forget everything but what is stored. Called at the start, and when a batch was refused, whose
        entities have not been made."""
        self._young: dict[Identity, int] = {}
        self._old: dict[Identity, int] = {}
        self._last = self._entities.last_keys()

    def load(self, wanted: Iterable[Identity]) -> int:
        """Make `key_of` able to answer for all of these, with one query for those not cached; returns how
        many those were."""
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        young, old = self._young, self._old
        missing = []
        for identity in wanted:
            if identity not in young:
                key = old.get(identity)
                if key is None:
                    missing.append(identity)
                    key = _ABSENT
                young[identity] = key
        if missing:
            found = self._entities.find(missing)
            young.update((identity, key) for identity, (key, _) in found.items())
        return len(missing)

    def key_of(self, identity: Identity) -> int:
        """The entity's key, or 0 if it does not exist; asked only for what was loaded for this batch."""
        return self._young[identity]

    def create(self, identity: Identity, partition: int) -> int:
        """Give a new key to an entity."""
        key = self._last.get(partition, partition << ENTITY_SHIFT) + 1
        self._last[partition] = self._young[identity] = key
        return key

    def delete(self, identity: Identity) -> None:
        """Note that the entity no longer exists."""
        self._young[identity] = _ABSENT
