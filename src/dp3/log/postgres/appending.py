"""Entries that are about to follow the end of a lane."""

from collections.abc import Mapping

from dp3.log.ages import Tail
from dp3.log.answers import next_order
from dp3.log.framing import frame, stored_form
from dp3.log.port import Appended, Lane


class NewEntries:
    """They follow the end of a lane, and everything of an order up to `after`. `first` is that of the
    segment, `latest` the largest append time in it, `rows` are those of the lane's table."""

    def __init__(self, lane: Lane, tail: Tail, now_us: int, after: int) -> None:
        self.lane = lane
        self.first = tail.first
        self.latest = max(tail.latest, now_us)
        self.rows: list[tuple[int, int, int, int, int, int, bytes]] = []
        self._now_us = now_us
        self._offset, self._order, self._total = tail.offset, max(tail.order, after), tail.total

    def add(self, slices: Mapping[int, bytes]) -> Appended:
        """One more entry."""
        body = frame(slices)
        self._offset += 1
        self._order = next_order(self.lane, self._order)
        self._total += len(body)
        columns = (self._offset, self._order, self._now_us, self.latest, len(body), self._total)
        self.rows.append((*columns, stored_form(body)))
        return Appended(self._offset, self._now_us)

    def end(self) -> dict[str, int]:
        """The end of the segment after them."""
        return {
            "first": self.first,
            "offset": self._offset,
            "order": self._order,
            "latest": self.latest,
            "total": self._total,
        }
