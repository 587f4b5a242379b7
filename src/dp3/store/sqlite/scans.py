"""Scans over what is packed: found for a moment, with the rows that begin later, and cut when rows change
that they have seen. All in the caller's transaction."""

from collections.abc import Iterable, Sequence

import apsw

from dp3.clock import LAST_US
from dp3.history.scan import BEGINNING, Scan, decode_scan
from dp3.history.segments import Params, SegmentRow, decode_segments
from dp3.sqlite import load_statements
from dp3.store.ports.entities import Token
from dp3.store.ports.history import PackedHistorySince
from dp3.store.sqlite.parameters import listed


class Scans:
    """See `dp3.store.ports.history`."""

    def __init__(self) -> None:
        self._sql = load_statements("dp3.store.sqlite", "scans.sql")

    def packed_since(
        self, state: apsw.Connection, entity: int, attr: int, moment: int, params: Params
    ) -> PackedHistorySince:
        """The last scan at a moment or before, and all packed rows that it does not know."""
        recent = self._found(state, "recent_scan", (entity, attr), moment, params)
        if recent is not None:
            return PackedHistorySince(recent, [])
        former = self.former(state, entity, attr, moment, params)
        since = BEGINNING if former is None else former.at
        return PackedHistorySince(former, self.rows_between(state, entity, attr, since, LAST_US))

    def former(
        self, state: apsw.Connection, entity: int, attr: int, moment: int, params: Params
    ) -> Scan[Token] | None:
        """The last scan at a moment or before that is kept for readers of the past."""
        return self._found(state, "former_scan", (entity, attr, moment), moment, params)

    def _found(
        self, state: apsw.Connection, statement: str, place: tuple[int, ...], moment: int, params: Params
    ) -> Scan[Token] | None:
        for at, text in state.execute(self._sql[statement], place):
            if text is not None and at <= moment:
                scan = decode_scan(at, text)
                return scan if scan.fits(params) else None
        return None

    def rows_between(
        self, state: apsw.Connection, entity: int, attr: int, since: int, until: int
    ) -> list[SegmentRow[Token]]:
        """The packed segments that begin in a range of times (both inclusive)."""
        place = {"entity": entity, "attr": attr, "since": since, "until": until}
        rows: list[SegmentRow[Token]] = []
        for v, segments in state.execute(self._sql["packed_between"], place):
            token = v.hex().upper()
            rows += [
                (t1, t2, c or 0, token, n)
                for t1, t2, c, n in decode_segments(segments)
                if since <= t1 <= until
            ]
        return rows

    def cut_all(self, connection: apsw.Connection, attrs: Iterable[tuple[int, int]]) -> None:
        """Packed rows of attributes (entity, attribute) are gone: all scans have to be made anew."""
        self.cut(connection, [(*attr, BEGINNING) for attr in dict.fromkeys(attrs)])

    def cut(self, connection: apsw.Connection, outdated: Sequence[tuple[int, int, int]]) -> None:
        """Rows of attributes (entity, attribute, moment) have changed that begin at a moment or later, or
        before scans at later moments: those have to be made anew."""
        if outdated:
            wanted = {"outdated": listed(outdated)}
            connection.execute(self._sql["cut_recent"], wanted)
            connection.execute(self._sql["cut_former"], wanted)
