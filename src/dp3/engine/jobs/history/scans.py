"""The scans over what is packed: brought forward with what is packed, made anew where they can not be.

A scan is at a moment that lies behind the newest rows by as much as rows have been late lately, so that
nearly all that comes begins after it.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from dp3.engine.plans import FOREVER
from dp3.history.scan import (
    BEGINNING,
    ENDED,
    Scan,
    advanced,
    decode_scan,
    empty_scan,
    encode_scan,
    encode_told,
    told_by,
)
from dp3.history.segments import Params, SegmentRow
from dp3.store.ports.entities import Token
from dp3.store.ports.history import FormerRow, FreshValues, RecentRow, ScanChanges

BEHIND_US = 60_000_000
"""A scan lies so far behind the clock: those who ask may have another one."""

RECENT_US, MOST_RECENT = 3_600_000_000, 32
"""It lies so far behind it, as long as that is not more rows: the last hour is asked for often."""

MOST_PARTS = 256
"""Of a scan, with its rows; of more nothing would be gained by keeping them beside the history."""

GIVE_UP = 4
"""A history whose scan was so many times too large, at any time, is not looked at to the end."""

MOST_BYTES = 16 << 10
"""Of a scan as it is stored."""

RETRY_US = 86_400_000_000
"""A scan that was too large is tried again after so long."""

FORMER_EVERY = 64
"""Rows between two scans that are kept for readers of the past."""

MOST_LAG_US = 3_600_000_000
"""Rows that are later than that are rare, and worth making scans anew."""

LAG_KEPT = 15, 16
"""Of how late rows were: so much is left with each pass in which none was."""

Rows = Sequence[SegmentRow[Token]]

Attr = tuple[int, int]
"""Entity and attribute."""


def rows_by_attr(fresh: FreshValues) -> dict[Attr, list[SegmentRow[Token]]]:
    """Observations that are to be packed, by entity and attribute."""
    rows: dict[Attr, list[SegmentRow[Token]]] = {}
    for (entity, attr, tag), values in fresh.items():
        if tag >= 0:
            of_attr = rows.setdefault((entity, attr), [])
            for v, segments in values:
                token = v.hex().upper()
                of_attr += [(t1, t2, c or 0, token, n) for t1, t2, c, n in segments]
    return rows


class Moments(NamedTuple):
    """`now`: that of the clock. `until`: scans do not get ahead of it. `asked`: the first of those that
    readers ask for. All in µs."""

    now: int
    until: int
    asked: int


class ScanKeeper:
    """Decides about scans; `params` are those of attributes by their numbers."""

    def __init__(self, params: Mapping[int, Params]) -> None:
        self._params = params

    def with_rows(
        self, rows: Mapping[Attr, Rows], known: Mapping[Attr, RecentRow], moments: Moments
    ) -> ScanChanges:
        """The scans after more rows have been packed; `known` are those before."""
        changes = ScanChanges()
        for attr, some in rows.items():
            self._add(attr, some, known.get(attr), changes, moments)
        return changes

    def _add(
        self, attr: Attr, rows: Rows, known: RecentRow | None, changes: ScanChanges, moments: Moments
    ) -> None:
        params, first = self._params.get(attr[1]), min(rows)[0]
        if known is not None and (known.scan is None or params is None):
            changes.outdated.append((*attr, first))
        if known is not None and known.scan is None:
            return
        if params is None:
            changes.recent.append(RecentRow(*attr, moments.now + RETRY_US, None))
            return
        scan: Scan[Token] = empty_scan(params)
        if known is not None and known.scan is not None:
            scan = decode_scan(known.at, known.scan)
        if not scan.fits(params):
            changes.outdated.append((*attr, BEGINNING))
            changes.recent.append(RecentRow(*attr, 0, None))
        elif first < scan.at:
            changes.outdated.append((*attr, first))
            changes.recent.append(RecentRow(*attr, first - scan.latest, None))
        else:
            kept, of = LAG_KEPT
            lag = max(_lag(scan.latest - first), scan.lag * kept // of)
            self._forward(attr, _with_lag(scan, lag), rows, params, changes, moments)

    def _forward(
        self,
        attr: Attr,
        scan: Scan[Token],
        rows: Rows,
        params: Params,
        changes: ScanChanges,
        moments: Moments,
    ) -> None:
        """Bring a scan as far forward as it goes, and leave it the rows of the last hour."""
        newest = max(scan.latest, max(rows)[0]) if rows else scan.latest
        at = min(newest - scan.lag, moments.until, _recent_since(scan, rows, moments))
        scan = advanced(scan, rows, max(scan.at, at), params)
        if len(scan.parts) + len(scan.rows) > MOST_PARTS:
            changes.recent.append(RecentRow(*attr, moments.now + RETRY_US, None))
            return
        if scan.passed >= FORMER_EVERY and not _goes_on(scan):
            scan = msgspec.structs.replace(scan, passed=0)
            changes.former += _former(attr, without_rows(scan))
        text = encode_scan(scan)
        if len(text) > MOST_BYTES:
            changes.recent.append(RecentRow(*attr, moments.now + RETRY_US, None))
        else:
            asked = max(moments.asked, scan.at)
            told = told_by(scan, asked, params)
            end = FOREVER if told.until is None else told.until
            changes.recent.append(RecentRow(*attr, scan.at, text, asked, end, encode_told(told)))

    def made(self, to_make: RecentRow, scan: Scan[Token] | None, rows: Rows, moments: Moments) -> ScanChanges:
        """The scans that follow from all rows after a former one, or from all that there are."""
        attr, params = to_make[:2], self._params.get(to_make.attr)
        changes = ScanChanges()
        if params is None:
            changes.recent.append(RecentRow(*attr, moments.now + RETRY_US, None))
            return changes
        if scan is None:
            scan = empty_scan(params)
            changes.outdated.append((*attr, BEGINNING))
        lag = max(scan.lag, _lag(-to_make.at))
        rows = sorted(rows)
        end = min(max(rows[-1][0] if rows else 0, scan.latest) - lag, moments.until)
        done = 0
        while (last := _next_start(rows, done + FORMER_EVERY)) < len(rows) and (at := rows[last][0]) <= end:
            scan = msgspec.structs.replace(advanced(scan, rows[done:last], at, params), passed=0)
            done = last
            if len(scan.parts) <= MOST_PARTS:
                changes.former += _former(attr, scan)
            elif len(scan.parts) > GIVE_UP * MOST_PARTS:
                changes.recent.append(RecentRow(*attr, moments.now + RETRY_US, None))
                return changes
        self._forward(attr, _with_lag(scan, lag), rows[done:], params, changes, moments)
        return changes


def _recent_since(scan: Scan[Token], rows: Rows, moments: Moments) -> int:
    """The begin of the last hour, or that of the first of as many rows as are kept of it."""
    since = moments.now - RECENT_US
    if len(scan.rows) + len(rows) > MOST_RECENT:
        begins = sorted([row[0] for row in (*scan.own_rows(), *rows)])
        since = max(since, begins[-MOST_RECENT])
    return since


def _with_lag(scan: Scan[Token], lag: int) -> Scan[Token]:
    return scan if lag == scan.lag else msgspec.structs.replace(scan, lag=lag)


def _lag(late: int) -> int:
    """The distance that a scan keeps from the newest rows after some came so much (µs) later than others."""
    return late if 0 < late <= MOST_LAG_US else 0


def without_rows(scan: Scan[Token]) -> Scan[Token]:
    """The scan as it is kept for readers of the past: what begins later is found among what is packed."""
    return msgspec.structs.replace(scan, rows=(), latest=scan.at)


def _goes_on(scan: Scan[Token]) -> bool:
    """True if a row that begins at the moment of the scan, or later, touches a part: what is packed has both
    as one, which begins earlier, so that the row would not be found again."""
    ends = {v: length - ago for v, ago, length, _, _, kind in scan.parts if kind != ENDED}
    return any(after <= ends.get(v, -1) for v, after, *_ in scan.rows)


def _former(attr: Attr, scan: Scan[Token]) -> list[FormerRow]:
    """The scan as it is kept; none that is too large, which is seen before it is encoded, mostly."""
    if sum([len(part[0]) for part in scan.parts]) > MOST_BYTES:
        return []
    text = encode_scan(scan)
    return [FormerRow(*attr, scan.at, text)] if len(text) <= MOST_BYTES else []


def _next_start(rows: Rows, place: int) -> int:
    """The first place, from one on, of a row that begins later than the one before it."""
    while place < len(rows) and rows[place][0] == rows[place - 1][0]:
        place += 1
    return place
