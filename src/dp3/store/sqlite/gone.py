"""Links to deleted entities that are still stored, which readers must not see."""

from collections.abc import Mapping, Sequence

import apsw
import msgspec

from dp3.history.packed import decode_segments
from dp3.sqlite import load_statements
from dp3.store.ports.batches import Tombstone
from dp3.store.ports.entities import Encoded, HistoryRow, PackedHistory, decode_profile
from dp3.store.unlinked import Gone, profile_without


class GoneLinks:
    """Asks in a reader's transaction."""

    def __init__(self) -> None:
        self._sql = load_statements("dp3.store.sqlite", "gone.sql")
        self._of_entity = load_statements("dp3.store.sqlite", "entities.sql")

    def of(self, state: apsw.Connection, keys: Sequence[int]) -> Mapping[int, Gone]:
        """Those of entities, by key; mostly there are none of anybody, and nothing else is looked up."""
        found: dict[int, dict[int, list[Tombstone]]] = {}
        if state.execute(self._sql["any_tombstone"]).get:
            wanted = msgspec.json.encode(keys).decode()
            for key, attr, *stone in state.execute(self._sql["gone"], (wanted,)):
                found.setdefault(key, {}).setdefault(attr, []).append(Tombstone._make(stone))
        return found

    def hidden(self, state: apsw.Connection, encoded: Encoded, gone: Gone) -> Encoded:
        """A profile without them."""
        profile = decode_profile(encoded)
        places = [(profile.key, attr) for attr in gone]
        history = map(HistoryRow._make, state.executemany(self._of_entity["history_of_attr"], places))
        packed = [
            PackedHistory(attr, v, [*decode_segments(segments)])
            for attr, v, segments in state.executemany(self._of_entity["packed_of_attr"], places)
        ]
        return msgspec.json.encode(profile_without(profile, history, packed, gone)).decode()
