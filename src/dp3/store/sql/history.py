"""Packing of history: fresh rows become packed ones."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from dp3.history.segments import PackedSegment, Params
from dp3.store.ports.entities import ENTITY_SHIFT
from dp3.store.ports.history import (
    FreshPage,
    FreshPlace,
    FreshValues,
    PackedHistorySince,
    PackedRow,
    PackUntil,
    RecentRow,
    ScanChanges,
    Subject,
    tag_of,
)
from dp3.store.ports.leases import Lease
from dp3.store.sql.parameters import of_worker
from dp3.store.sql.scans import Scans, ScanWriter
from dp3.store.sql.session import Database, Session

_fresh = msgspec.json.Decoder(
    list[tuple[int, int, int, int | None, int | None, int | None, str | None]]
).decode
_Packed: TypeAlias = tuple[int, int, int, int, int, int, str, str, int | None, int | None]
_packed = msgspec.json.Decoder(list[_Packed]).decode
_recent = msgspec.json.Decoder(list[RecentRow]).decode
"""Many rows come as one text: in one step, without the interpreter's lock."""

LARGE = 1_000
"""Bytes of a value that is read by itself, so that a page of large ones is not."""


class History:
    """See `dp3.store.ports.history.History`."""

    def __init__(self, database: Database, scans: Scans) -> None:
        self._database = database
        self._scans = scans
        self._scan_writer = ScanWriter()

    def packed_until(self, lease: Lease) -> dict[int, int]:
        return dict(self._database.rows("history.packed_until", of_worker(lease)))

    def begin_packing(self, lease: Lease, until: PackUntil) -> None:
        self._note(lease, "begin_packing", until)

    def end_packing(self, lease: Lease, until: PackUntil) -> None:
        self._note(lease, "end_packing", until)

    def fresh_page(self, after: FreshPlace, until: PackUntil, limit: int, max_bytes: int) -> FreshPage:
        end = ((after[0] >> ENTITY_SHIFT) + 1) << ENTITY_SHIFT
        wanted = {**_bounds(after, until), "end": end, "limit": limit, "large": LARGE}
        with self._database.reading() as session:
            text: str = session.value("history.fresh_page", wanted)
            return self._page(session, _fresh(text), max_bytes)

    def last_parts(self, subjects: Sequence[Subject]) -> dict[Subject, PackedRow]:
        """The last packed rows of a range of entities, most of which may be new."""
        entities = [subject[0] for subject in subjects]
        with self._database.reading() as session:
            if not subjects or not session.value("history.any_packed", (min(entities), max(entities))):
                return {}
            texts = [row[0] for row in session.bulk_rows("history.last_parts", subjects)]
        return {row.subject: row for text in texts for row in map(_packed_row, _packed(text))}

    def pack(
        self,
        lease: Lease,
        after: FreshPlace,
        last: FreshPlace,
        until: PackUntil,
        rows: Sequence[PackedRow],
        scans: ScanChanges,
    ) -> None:
        ends = dict(zip(("last_entity", "last_attr", "last_key"), last, strict=True))
        with self._database.owned(lease) as session:
            session.run("history.remove_fresh", {**_bounds(after, until), **ends})
            session.bulk("history.put_packed", rows)
            self._scan_writer.put(session, scans)

    def recent(self, attrs: Sequence[tuple[int, int]]) -> dict[tuple[int, int], RecentRow]:
        with self._database.reading() as session:
            texts = [row[0] for row in session.bulk_rows("history.recent", attrs)]
        return {row[:2]: row for text in texts for row in _recent(text)}

    def scans_to_make(self, lease: Lease, partition: int, now: int, limit: int) -> list[RecentRow]:
        first = partition << ENTITY_SHIFT
        wanted = (first, first + (1 << ENTITY_SHIFT), now, limit)
        return [
            RecentRow(entity, attr, at, None)
            for entity, attr, at in self._database.rows("history.scans_to_make", wanted)
        ]

    def packed_since(self, entity: int, attr: int, params: Params) -> PackedHistorySince:
        with self._database.reading() as session:
            return self._scans.packed_since(session, entity, attr, params)

    def put_scans(self, lease: Lease, scans: ScanChanges) -> None:
        with self._database.owned(lease) as session:
            self._scan_writer.put(session, scans)

    def trim_incoming(self, lease: Lease, lane: int, limit: int) -> int:
        with self._database.owned(lease) as session:
            return session.affected("history.trim_incoming", {"lane": lane, "limit": limit})

    def _page(self, session: Session, rows: Sequence[Any], max_bytes: int) -> FreshPage:
        """Of the rows as many as have so many bytes."""
        fresh: FreshValues = {}
        tags: dict[bytes, int] = {}
        count = packable = size = 0
        for entity, attr, key, t1, t2, c, v_hex in rows:
            if t1 is not None:
                if v_hex is not None:
                    v = bytes.fromhex(v_hex)
                else:
                    v = session.value("history.value", (key,))
                    size += len(v)
                    if size > max_bytes and count:
                        break
                tag = tags.get(v)
                if tag is None:
                    tag = tags[v] = tag_of(v, False)
                packable += 1
                _add(fresh, (entity, attr, tag if c is not None else ~tag), v, (t1, t2, c, 1))
            count += 1
        return FreshPage(fresh, packable, count, tuple(rows[count - 1][:3]) if count else None)

    def _note(self, lease: Lease, statement: str, until: PackUntil) -> None:
        with self._database.owned(lease) as session:
            lanes = (of_worker(lease, lane=lane, until=key) for lane, key in until.items())
            session.each(f"history.{statement}", lanes)


def _add(fresh: FreshValues, subject: Subject, v: bytes, segment: PackedSegment) -> None:
    values = fresh.get(subject)
    if values is None:
        fresh[subject] = [(v, [segment])]
        return
    for value, segments in values:
        if value == v:
            segments.append(segment)
            return
    values.append((v, [segment]))


def _packed_row(found: _Packed) -> PackedRow:
    entity, attr, tag, part, oldest, points, v, segments, *bounds = found
    return PackedRow(
        entity, attr, tag, part, oldest, points, bytes.fromhex(v), bytes.fromhex(segments), *bounds
    )


def _bounds(after: FreshPlace, until: PackUntil) -> dict[str, int]:
    entity, attr, key = after
    return {
        "entity": entity,
        "attr": attr,
        "key": key,
        "main": until.get(0, -1),
        "derived": until.get(1, -1),
    }
