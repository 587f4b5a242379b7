"""Reading entities and their profiles."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from dp3.history.ranges import segments_between
from dp3.history.scan import finished_scan
from dp3.history.segments import Params, decode_segments
from dp3.store.ports.entities import (
    EncodedProfile,
    HistoryRow,
    PackedHistory,
    PlainRow,
    Profile,
    ProfileRows,
    RowsRead,
)
from dp3.store.ports.leases import Lease
from dp3.store.sql.entity_history import EntityHistory
from dp3.store.sql.garbage import Garbage
from dp3.store.sql.parameters import own_ranges
from dp3.store.sql.profiles import RemovedLinks, decode_profile, decode_token, encode_token
from dp3.store.sql.rows_read import RowsReadCounter
from dp3.store.sql.scans import AttrHistory, Scans
from dp3.store.sql.session import Database
from dp3.store.unlinked import packed_without, rows_without

_keys = msgspec.json.Decoder(list[int]).decode
_named = msgspec.json.Decoder(list[tuple[int, str]]).decode
_identities = msgspec.json.Decoder(list[tuple[int, int, str]]).decode
_entities = msgspec.json.Decoder(list[tuple[int, int, str, int]]).decode
"""Many rows come as one text: in one step, without the interpreter's lock."""


class Entities:
    """See `dp3.store.ports.entities.Entities`."""

    decode_value = staticmethod(decode_token)
    encode_value = staticmethod(encode_token)

    def __init__(
        self, database: Database, garbage: Garbage, partitions: int, scans: Scans, read: RowsReadCounter
    ) -> None:
        self._database = database
        self._garbage = garbage
        self._partitions = partitions
        self._removed = RemovedLinks()
        self._read = read
        self._scans = scans

    def find(self, wanted: Sequence[tuple[int, str]]) -> dict[tuple[int, str], tuple[int, int]]:
        with self._database.reading() as session:
            rows = session.bulk_rows("entities.find_entities", wanted)
            return {(etype, eid): (key, created) for etype, eid, key, created in rows}

    def page(self, etype: str, limit: int, after: str | None = None) -> list[tuple[int, str, int]]:
        first = "" if after is None else f"{after}\0"  # the next text that there can be
        return self._database.rows("entities.entities_page", (etype, first, limit))

    def last_keys(self) -> dict[int, int]:
        return dict(self._database.rows("entities.last_keys"))

    def counts(self) -> dict[str, int]:
        return dict(self._database.rows("entities.entity_counts"))

    def profile(self, etype: str, eid: str) -> ProfileRows | None:
        with self._database.reading() as session:
            found = session.row("entities.entity_by_name", (etype, eid))
            if found is None:
                return None
            key, created, _ = found
            plain = list(map(PlainRow._make, session.rows("entities.plain", (key,))))
            history = list(map(HistoryRow._make, session.rows("entities.history", (key,))))
            packed: list[PackedHistory] = [
                (of, v, [*decode_segments(segments)])
                for of, v, segments in session.rows("entities.packed", (key,))
            ]
            self._read.add(len(history) + sum(len(segments) for _, _, segments in packed))
            ttl = dict(session.rows("entities.ttl", (key,)))
            gone = self._removed.of(session, [key])
            if gone:
                plain, history = rows_without(plain, history, gone[key])
                packed = packed_without(packed, gone[key])
            return ProfileRows(created, plain, history, ttl, packed)

    @contextmanager
    def history(self, etype: str, eid: str) -> Iterator[EntityHistory | None]:
        with self._database.reading() as session:
            found = session.row("entities.entity_by_name", (etype, eid))
            history = None if found is None else EntityHistory(session, self._scans, *found)
            yield history

    def own(self, lease: Lease, etypes: Sequence[int], after: int, limit: int) -> list[tuple[int, int, str]]:
        types = list(etypes)
        found: list[tuple[int, int, str]] = []
        with self._database.reading() as session:
            for first, end in own_ranges(lease, self._partitions, after):
                if len(found) < limit:
                    page = {"etypes": types, "after": first, "end": end, "limit": limit - len(found)}
                    text: str = session.value("entities.entities_in_range", page)
                    found += _identities(text)
        return found

    def by_key(self, keys: Sequence[int]) -> dict[int, tuple[int, str, int]]:
        text: str = self._database.value("entities.by_key", (list(keys),))
        return {key: (etype, eid, created) for key, etype, eid, created in _entities(text)}

    def profiles(
        self, keys: Sequence[int], whole: bool = False, moment: int | None = None
    ) -> dict[int, EncodedProfile]:
        wanted = {"keys": list(keys), "whole": whole, "moment": moment}
        with self._database.reading() as session:
            found: Any = session.value("entities.profiles", wanted)
            existing, lines = found
            profiles: dict[int, EncodedProfile] = dict(
                zip(_keys(existing), lines.split("\n") if lines else (), strict=True)
            )
            for key, gone in self._removed.of(session, keys).items():
                profiles[key] = self._removed.hidden(session, profiles[key], gone)
        return profiles

    def complete(
        self, profile: Profile, untold: Mapping[int, Params], moment: int, *, later: bool
    ) -> Profile:
        observed, scans = dict(profile.observed), dict(profile.scans)
        told = {attr: told for attr, told in profile.told.items() if attr not in untold}
        with self._database.reading() as session:
            for attr, params in untold.items():
                history = AttrHistory.read(session, self._scans, (profile.key, attr), params)
                if later:
                    scans[attr], observed[attr] = history.since(moment)
                else:
                    held = segments_between(history, moment, moment)
                    scans[attr], observed[attr] = finished_scan(held, params, moment), []
            completed = msgspec.structs.replace(
                profile, observed=list(observed.items()), scans=scans, told=told
            )
            gone = self._removed.of(session, [profile.key])
            return self._removed.without(session, completed, gone[profile.key]) if gone else completed

    def rows_read(self) -> RowsRead:
        return self._read.total

    def decode_profile(self, encoded: EncodedProfile) -> Profile:
        profile, whole = decode_profile(encoded)
        rows = sum([len(rows) for _, rows in profile.observed]) + len(profile.chunks)
        rows += sum([len(scan.parts) + len(scan.rows) for scan in profile.scans.values()])
        self._read.add(rows + sum([len(told.winners) for told in profile.told.values()]), whole)
        return profile

    def count_between(self, etype: int, after: int, end: int) -> int:
        count: int = self._database.value("entities.count_between", (after, end, etype))
        return count

    def between(self, etype: int, after: int, end: int, limit: int) -> list[tuple[int, str]]:
        text: str = self._database.value("entities.entities_between", (after, end, etype, limit))
        return _named(text)

    def range_after(self, after: int, limit: int) -> tuple[int, int] | None:
        first, last = self._database.value("entities.range_after", (after, limit))
        return None if first is None else (first, last)

    def collect_garbage(self, lease: Lease, max_rows: int, by_age: Callable[[], bool] = lambda: True) -> bool:
        return self._garbage.collect(lease, max_rows, by_age)
