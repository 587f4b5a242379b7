"""Reading what a run works on, and the stored rows."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from dp3.sqlite import load_statements
from dp3.store.port import ENTITY_SHIFT, Lease
from dp3.store.snapshots import Encoded, StoredSnapshot
from dp3.store.sqlite.connections import Readers
from dp3.store.sqlite.gone import GoneLinks

FEW_DUE = 10_000
"""Up to so many due entities are found through the index and sorted for every page."""


_keys = msgspec.json.Decoder(list[int]).decode
_identities = msgspec.json.Decoder(list[tuple[int, int, str]]).decode
_entities = msgspec.json.Decoder(list[tuple[int, int, str, int]]).decode
_latest = msgspec.json.Decoder(list[tuple[int, int, str]]).decode
"""Many rows come as one text: in one step, without the interpreter's lock."""


def _listed(numbers: Iterable[int]) -> str:
    return msgspec.json.encode(list(numbers)).decode()


class Snapshots:
    """See the methods of the same names in `SnapshotStore`."""

    def __init__(self, readers: Readers, partitions: int) -> None:
        self._readers = readers
        self._partitions = partitions
        self._sql = load_statements("dp3.store.sqlite", "snapshots.sql")
        self._gone = GoneLinks()

    def due_entities(self, lease: Lease, until: int, after: int, limit: int) -> list[int]:
        with self._readers.state() as state:
            due = state.execute(self._sql["due_bounded"], (until, FEW_DUE + 1)).get
            if due <= FEW_DUE:
                mine = {"worker": lease.index, "worker_processes": lease.worker_processes}
                page = {"until": until, "after": after, "limit": limit}
                return [entity for (entity,) in state.execute(self._sql["due_few"], page | mine)]
            entities: list[int] = []
            for first, end in self._own_ranges(lease, after):
                if len(entities) < limit:
                    page = {"until": until, "after": first, "end": end, "limit": limit - len(entities)}
                    entities += [entity for (entity,) in state.execute(self._sql["due_in_range"], page)]
            return entities

    def own_entities(
        self, lease: Lease, etypes: Sequence[int], after: int, limit: int
    ) -> list[tuple[int, int, str]]:
        types = _listed(etypes)
        found: list[tuple[int, int, str]] = []
        with self._readers.state() as state:
            for first, end in self._own_ranges(lease, after):
                if len(found) < limit:
                    page = {"etypes": types, "after": first, "end": end, "limit": limit - len(found)}
                    text: str = state.execute(self._sql["entities_in_range"], page).get
                    found += _identities(text)
        return found

    def _own_ranges(self, lease: Lease, after: int) -> Iterator[tuple[int, int]]:
        """Ranges of keys (both ends excluded) of own partitions above a key."""
        for partition in range(lease.index, self._partitions, lease.worker_processes):
            end = (partition + 1) << ENTITY_SHIFT
            if end > after:
                yield max(after, (partition << ENTITY_SHIFT) - 1), end

    def entities_of(self, keys: Sequence[int]) -> dict[int, tuple[int, str, int]]:
        with self._readers.state() as state:
            text: str = state.execute(self._sql["entities"], (_listed(keys),)).get
        return {key: (etype, eid, created) for key, etype, eid, created in _entities(text)}

    def profiles(self, keys: Sequence[int], whole: bool) -> dict[int, Encoded]:
        wanted = {"keys": _listed(keys), "whole": whole}
        with self._readers.state() as state:
            found: Any = state.execute(self._sql["profiles"], wanted).get
            existing, lines = found
            profiles = dict(zip(_keys(existing), lines.split("\n") if lines else (), strict=True))
            for key, gone in self._gone.of(state, keys).items():
                profiles[key] = self._gone.hidden(state, profiles[key], gone)
        return profiles

    def latest_rows(self, keys: Sequence[int]) -> dict[int, StoredSnapshot]:
        with self._readers.state() as state:
            text: str = state.execute(self._sql["latest_rows"], (_listed(keys),)).get
        return {entity: StoredSnapshot(entity, run, bytes.fromhex(doc)) for entity, run, doc in _latest(text)}

    def rows_of(self, etype: str, eid: str) -> list[StoredSnapshot]:
        with self._readers.state() as state:
            return list(map(StoredSnapshot._make, state.execute(self._sql["rows_of"], (etype, eid))))
