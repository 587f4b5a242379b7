"""One entity read attribute by attribute, in a reader's transaction."""

from collections.abc import Sequence

from dp3.history.ranges import HistorySource
from dp3.history.scan import Scan, empty_scan
from dp3.history.segments import Params, SegmentRow
from dp3.store.ports.entities import HistoryRow, PlainRow, Profile, Token
from dp3.store.sql.profiles import RemovedLinks
from dp3.store.sql.scans import AttrHistory, Scans
from dp3.store.sql.session import Session
from dp3.store.unlinked import Gone, plain_without


class EntityHistory:
    """See `dp3.store.ports.entities.EntityHistory`."""

    def __init__(self, session: Session, scans: Scans, key: int, created: int, etype: int) -> None:
        self.created = created
        self._session = session
        self._key = key
        self._etype = etype
        self._scans = scans
        self._removed = RemovedLinks()
        self._gone: Gone = self._removed.of(session, [key]).get(key, {})
        self.ttl: dict[str, int] = dict(session.rows("entities.ttl", (key,)))

    def plain(self, attr: str) -> PlainRow | None:
        """See the port."""
        number = self._number(attr)
        for found in self._session.rows("entities.plain_of_attr", (self._key, number)):
            row = PlainRow._make(found)
            return plain_without(row, self._gone[row.attr]) if row.attr in self._gone else row
        return None

    def observed(self, attr: str, params: Params) -> HistorySource:
        """See the port. Links to deleted entities that are still stored do not show, so scans, which have
        seen them, are not used then."""
        number = self._number(attr)
        if number in self._gone:
            some = {number: self._gone[number]}
            profile = self._removed.without(self._session, Profile(self._key, self.created), some)
            return _Known(params, dict(profile.observed).get(number, []))
        return AttrHistory.read(self._session, self._scans, (self._key, number), params)

    def chunks(self, attr: str, first: int, last: int) -> list[tuple[int, bytes]]:
        """See the port."""
        number = self._number(attr)
        rows = map(HistoryRow._make, self._session.rows("entities.history_of_attr", (self._key, number)))
        fresh = [(row.t1, row.v) for row in rows if row.t2 >= first and row.t1 <= last]
        return fresh + self._scans.chunks_between(self._session, self._key, number, first, last)

    def _number(self, attr: str) -> int:
        """Of an attribute; none has the number -1."""
        found: int | None = self._session.value("entities.attr_number", (self._etype, attr))
        return -1 if found is None else found


class _Known:
    """A history of which all rows are known."""

    def __init__(self, params: Params, rows: list[SegmentRow[Token]]) -> None:
        self.params = params
        self.fresh = rows
        self.recent: Scan[Token] | None = None
        self.moments: Sequence[int] = ()

    def scan(self, moment: int) -> Scan[Token]:
        """There is none."""
        return empty_scan(self.params)

    def packed(self, since: Scan[Token], until: int) -> list[SegmentRow[Token]]:
        """Nothing is left."""
        return []
