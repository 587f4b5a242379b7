"""Moving history from fresh rows to packed ones."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from dp3.sqlite import load_statements, run_for_rows
from dp3.store.history import FreshGroup, PackBatch, PackedRow, Place, Scan, Subject
from dp3.store.port import Lease
from dp3.store.sqlite.connections import Readers, Writer
from dp3.store.sqlite.leases import Leases
from dp3.store.stretches import Stretch

_places = msgspec.json.Decoder(list[Place]).decode
_groups = msgspec.json.Decoder(list[tuple[int, int, str, bool, list[Stretch]]]).decode
_packed = msgspec.json.Decoder(list[tuple[int, int, int, int, int, int, str, str]]).decode
"""Many rows come as one text: in one step, without the interpreter's lock."""


class History:
    """See the methods of the same names in `HistoryStore`."""

    def __init__(self, writer: Writer, readers: Readers, leases: Leases) -> None:
        self._writer = writer
        self._readers = readers
        self._leases = leases
        self._sql = load_statements("dp3.store.sqlite", "history.sql")

    def packed_until(self, lease: Lease) -> dict[int, int]:
        with self._readers.state() as state:
            return dict(state.execute(self._sql["packed_until"], _of(lease)))

    def begin_packing(self, lease: Lease, lane: int, until: int) -> None:
        self._note(lease, "begin_packing", lane=lane, until=until)

    def end_packing(self, lease: Lease, lane: int, until: int) -> None:
        self._note(lease, "end_packing", lane=lane, until=until)

    def scan_fresh(self, lease: Lease, after: int, until: int, limit: int) -> Scan:
        page = _of(lease, after=after, until=until, limit=limit)
        with self._readers.state() as state:
            found: Any = state.execute(self._sql["scan_fresh"], page).get
        places, last = found
        return Scan(_places(places), last)

    def fresh_groups(self, keys: Sequence[int]) -> list[FreshGroup]:
        with self._readers.state() as state:
            text: str = state.execute(self._sql["fresh_groups"], (_listed(keys),)).get
        return [
            FreshGroup(entity, attr, bytes.fromhex(v), timeseries, stretches)
            for entity, attr, v, timeseries, stretches in _groups(text)
        ]

    def last_parts(self, subjects: Sequence[Subject]) -> dict[Subject, PackedRow]:
        with self._readers.state() as state:
            text: str = state.execute(self._sql["last_parts"], (_listed(subjects),)).get
        return {row.subject: row for row in map(_packed_row, _packed(text))}

    def write(self, lease: Lease, batch: PackBatch) -> None:
        self._writer.wait_for_room()
        fresh = _listed(batch.fresh)
        with self._writer.transaction() as connection:
            self._leases.check(connection, lease)
            connection.execute(self._sql["remove_fresh"], (fresh,))
            run_for_rows(connection, self._sql["put_packed"], batch.rows)

    def _note(self, lease: Lease, statement: str, **values: int) -> None:
        self._writer.wait_for_room()
        with self._writer.transaction() as connection:
            self._leases.check(connection, lease)
            connection.execute(self._sql[statement], _of(lease, **values))


def _packed_row(found: tuple[int, int, int, int, int, int, str, str]) -> PackedRow:
    entity, attr, tag, part, oldest, points, v, segments = found
    return PackedRow(entity, attr, tag, part, oldest, points, bytes.fromhex(v), bytes.fromhex(segments))


def _of(lease: Lease, **values: int) -> dict[str, int]:
    return {"worker": lease.index, "worker_processes": lease.worker_processes, **values}


def _listed(items: Iterable[Any]) -> str:
    return msgspec.json.encode(list(items)).decode()
