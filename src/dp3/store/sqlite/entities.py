"""Reading entities and their profiles."""

from collections.abc import Sequence

import apsw

from dp3.sqlite import load_statements
from dp3.store.port import Existing, HistoryRow, PackedHistory, PlainRow, ProfileRows
from dp3.store.sqlite.connections import Readers
from dp3.store.sqlite.gone import GoneLinks
from dp3.store.stretches import decode_stretches
from dp3.store.unlinking import packed_without, rows_without


class Entities:
    """See the methods of the same names in `Store`."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._sql = load_statements("dp3.store.sqlite", "entities.sql")
        self._gone = GoneLinks()

    def find(self, wanted: Sequence[tuple[int, str]]) -> dict[tuple[int, str], Existing]:
        with self._readers.state() as state:
            rows = state.executemany(self._sql["find_entity"], wanted)
            return {(etype, eid): Existing(key, created) for etype, eid, key, created in rows}

    def page(self, etype: str, limit: int, after: str | None) -> list[tuple[int, str, int]]:
        first = "" if after is None else f"{after}\0"  # the next text that there can be
        with self._readers.state() as state:
            return list(state.execute(self._sql["entities_page"], (etype, first, limit)))

    def last_keys(self) -> dict[int, int]:
        with self._readers.state() as state:
            return dict(state.execute(self._sql["last_keys"]))

    def counts(self) -> dict[str, int]:
        with self._readers.state() as state:
            return dict(state.execute(self._sql["entity_counts"]))

    def profile(self, etype: str, eid: str, attr: str | None) -> ProfileRows | None:
        with self._readers.state() as state:
            found = state.execute(self._sql["entity_by_name"], (etype, eid)).fetchone()
            if found is None:
                return None
            key, created, etype_number = found
            plain, history, packed = self._rows(state, key, etype_number, attr)
            ttl = dict(state.execute(self._sql["ttl"], (key,)))
            gone = self._gone.of(state, [key])
            if gone:
                plain, history = rows_without(plain, history, gone[key])
                packed = packed_without(packed, gone[key])
            return ProfileRows(created, plain, history, ttl, packed)

    def _rows(
        self, state: apsw.Connection, key: int, etype: int, attr: str | None
    ) -> tuple[list[PlainRow], list[HistoryRow], list[PackedHistory]]:
        if attr is None:
            plain = state.execute(self._sql["plain"], (key,))
            history = state.execute(self._sql["history"], (key,))
            packed = state.execute(self._sql["packed"], (key,))
        else:
            number = state.execute(self._sql["attr_number"], (etype, attr)).get
            plain = state.execute(self._sql["plain_of_attr"], (key, number))
            history = state.execute(self._sql["history_of_attr"], (key, number))
            packed = state.execute(self._sql["packed_of_attr"], (key, number))
        return (
            list(map(PlainRow._make, plain)),
            list(map(HistoryRow._make, history)),
            [PackedHistory(of, v, [*decode_stretches(segments)]) for of, v, segments in packed],
        )
