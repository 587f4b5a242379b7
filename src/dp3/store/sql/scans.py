"""Scans over what is packed: found for a moment, with the rows that begin later, and cut when rows change
that they have seen. All in the caller's transaction."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from dp3.clock import LAST_US
from dp3.history.ranges import scan_before
from dp3.history.scan import BEGINNING, Scan, decode_scan
from dp3.history.segments import Params, SegmentRow, decode_segments
from dp3.store.ports.entities import Token
from dp3.store.ports.history import PackedHistorySince, ScanChanges
from dp3.store.sql.rows_read import RowsReadCounter
from dp3.store.sql.session import Session


class AttrHistory:
    """The history of an attribute of an entity, as `dp3.history.ranges` reads it, in a reader's transaction.
    `fresh` are the rows that are not packed."""

    def __init__(
        self,
        scans: "Scans",
        session: Session,
        place: tuple[int, int],
        params: Params,
        fresh: list[SegmentRow[Token]],
    ) -> None:
        self.params = params
        self.fresh = fresh
        self._scans = scans
        self._session = session
        self._place = place
        self.recent = scans.recent(session, *place, params)

    @classmethod
    def read(
        cls,
        session: Session,
        scans: "Scans",
        place: tuple[int, int],
        params: Params,
    ) -> "AttrHistory":
        """The history of an attribute (entity, attribute)."""
        rows = session.rows("entities.history_of_attr", place)
        fresh = [(t1, t2, c or 0, v.hex().upper(), 1) for _, _, _, t1, t2, c, v in rows]
        scans.count(len(fresh))
        return cls(scans, session, place, params, fresh)

    def since(self, moment: int) -> tuple[Scan[Token], list[SegmentRow[Token]]]:
        """The last scan, at a moment or before, that with the rows that begin later tells everything."""
        scan, _ = scan_before(self, moment)
        return scan, [*self.fresh, *self.packed(scan, LAST_US)]

    @cached_property
    def _all(self) -> list[SegmentRow[Token]]:
        return self._scans.all_rows(self._session, *self._place)

    @cached_property
    def moments(self) -> list[int]:
        """See `HistorySource`."""
        former = self._scans.moments(self._session, *self._place)
        if former and not self._scans.former_at(self._session, *self._place, former[-1]).fits(self.params):
            former = []
        recent = self.recent
        return former if recent is None else [*(at for at in former if at != recent.at), recent.at]

    def scan(self, moment: int) -> Scan[Token]:
        """See `HistorySource`."""
        recent = self.recent
        if recent is not None and moment == recent.at:
            return recent
        return self._scans.former_at(self._session, *self._place, moment)

    def packed(self, since: Scan[Token], until: int) -> list[SegmentRow[Token]]:
        """See `HistorySource`."""
        if self.recent is not None and since.at == self.recent.at:
            return []
        if since.at == BEGINNING and until == LAST_US:
            return self._all
        return self._scans.rows_between(self._session, *self._place, since.at, until)


class Scans:
    """Reads scans and what is packed, in a reader's transaction."""

    def __init__(self, read: RowsReadCounter) -> None:
        self._read = read

    def count(self, rows: int) -> None:
        """So many rows more were read."""
        self._read.add(rows)

    def packed_since(self, session: Session, entity: int, attr: int, params: Params) -> PackedHistorySince:
        """The last scan that is kept for readers of the past, and all packed rows that begin then or
        later."""
        moments = self.moments(session, entity, attr)
        if moments and (former := self.former_at(session, entity, attr, moments[-1])).fits(params):
            return PackedHistorySince(former, self.rows_between(session, entity, attr, former.at, LAST_US))
        return PackedHistorySince(None, self.all_rows(session, entity, attr))

    def recent(self, session: Session, entity: int, attr: int, params: Params) -> Scan[Token] | None:
        """The scan that knows all that is packed, if there is one that was made with these parameters."""
        at, text = session.row("scans.recent_scan", (entity, attr)) or (0, None)
        scan = None if text is None else self._scan(at, text)
        return scan if scan is not None and scan.fits(params) else None

    def _scan(self, at: int, text: str) -> Scan[Token]:
        scan = decode_scan(at, text)
        self._read.add(len(scan.parts) + len(scan.rows))
        return scan

    def moments(self, session: Session, entity: int, attr: int) -> list[int]:
        """The moments of scans that are kept for readers of the past, ascending."""
        return [at for (at,) in session.rows("scans.scan_moments", (entity, attr))]

    def former_at(self, session: Session, entity: int, attr: int, moment: int) -> Scan[Token]:
        """The scan at one of these moments."""
        at, text = session.value("scans.former_scan_at", (entity, attr, moment))
        return self._scan(at, text)

    def rows_between(
        self, session: Session, entity: int, attr: int, since: int, until: int
    ) -> list[SegmentRow[Token]]:
        """The packed segments that begin in a range of times (both inclusive)."""
        place = {"entity": entity, "attr": attr, "since": since, "until": until}
        rows = self._rows(session, "packed_between", place)
        return [row for row in rows if since <= row[0] <= until]

    def all_rows(self, session: Session, entity: int, attr: int) -> list[SegmentRow[Token]]:
        """All packed segments."""
        return self._rows(session, "all_packed", {"entity": entity, "attr": attr}, whole=1)

    def _rows(
        self, session: Session, statement: str, place: Mapping[str, int], whole: int = 0
    ) -> list[SegmentRow[Token]]:
        rows: list[SegmentRow[Token]] = []
        for v, segments in session.rows(f"scans.{statement}", place):
            token = v.hex().upper()
            rows += [(t1, t2, c or 0, token, n) for t1, t2, c, n in decode_segments(segments)]
        self._read.add(len(rows), whole)
        return rows

    def chunks_between(
        self, session: Session, entity: int, attr: int, first: int, last: int
    ) -> list[tuple[int, bytes]]:
        """The packed data-points of a timeseries that may have points in a range of times: `t1`, value."""
        place = {"entity": entity, "attr": attr, "since": first, "until": last}
        found = session.rows("scans.packed_between", place)
        chunks = [(t1, v) for v, segments in found for t1, *_ in decode_segments(segments)]
        self._read.add(len(chunks))
        return chunks


class ScanWriter:
    """Changes scans in the caller's transaction."""

    def put(self, session: Session, scans: ScanChanges) -> None:
        """Keep scans that are new or have changed, after those are cut that do not hold any more."""
        self.cut(session, scans.outdated)
        if scans.longer:
            session.run("scans.cut_former", {"outdated": list(scans.longer)})
        session.bulk("scans.put_recent", list({row[:2]: row for row in scans.recent}.values()))
        session.bulk("scans.put_former", list({row[:3]: row for row in scans.former}.values()))

    def cut_all(self, session: Session, attrs: Iterable[tuple[int, int]]) -> None:
        """Packed rows of attributes (entity, attribute) are gone: all scans have to be made anew."""
        self.cut(session, [(*attr, BEGINNING) for attr in dict.fromkeys(attrs)])

    def forget(self, session: Session, until: Mapping[tuple[int, int], int]) -> None:
        """Packed rows of attributes (entity, attribute) are gone, or were joined, that scans know at moments
        up to one: those have to be made anew."""
        if until:
            wanted = {"forgotten": [(*attr, moment) for attr, moment in until.items()]}
            session.run("scans.forget_recent", wanted)
            session.run("scans.forget_former", wanted)

    def cut(self, session: Session, outdated: Sequence[tuple[int, int, int]]) -> None:
        """Rows of attributes (entity, attribute, moment) have changed that begin at a moment or later, or
        before scans at later moments: those have to be made anew."""
        if outdated:
            wanted = {"outdated": list(outdated)}
            session.run("scans.cut_recent", wanted)
            session.run("scans.cut_former", wanted)
