"""Links to deleted entities that are still stored, which readers must not see."""

from collections.abc import Mapping, Sequence

import apsw
import msgspec

from dp3.sqlite import load_statements
from dp3.store.port import HistoryRow, Tombstone
from dp3.store.snapshots import Encoded, decode_profile
from dp3.store.unlinking import Gone, profile_without


class GoneLinks:
    """Asks in a reader's transaction."""

    def __init__(self) -> None:
        self._sql = load_statements("dp3.store.sqlite", "gone.sql")
        self._history = load_statements("dp3.store.sqlite", "entities.sql")["history_of_attr"]

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
        places = ((profile.key, attr) for attr in gone)
        history = map(HistoryRow._make, state.executemany(self._history, places))
        return msgspec.json.encode(profile_without(profile, history, gone)).decode()
