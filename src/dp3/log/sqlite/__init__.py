"""The log on SQLite: each lane is a folder of segment files."""

from collections.abc import Collection, Sequence
from pathlib import Path

from dp3.clock import Clock
from dp3.log.ages import Rotation
from dp3.log.port import (
    IDEMPOTENCY_WINDOW_US,
    Append,
    Appended,
    Entry,
    Head,
    IdempotencyConflict,
    Lane,
    Log,
    LogSegment,
    OutboxSlice,
    Producer,
    Waiting,
)
from dp3.log.sqlite.appending import NewEntries, RecentKeys, append_outbox, append_requests
from dp3.log.sqlite.reading import LaneReader, LaneVersion
from dp3.log.sqlite.segments import SegmentFiles
from dp3.log.sqlite.verifying import log_extents, verify_log
from dp3.log.sqlite.wholeness import require_whole
from dp3.log.sqlite.writing import LaneWriter
from dp3.sqlite import Checkpointer, FairLock, bytes_in

__all__ = ["SegmentLog", "log_extents", "open_log", "verify_log"]


def open_log(
    directory: Path,
    clock: Clock,
    *,
    segment_bytes: int = 128 << 20,
    segment_age_s: float = 86_400.0,
    accept_loss: bool = False,
) -> Log:
    """The log in `directory`/log, made if it is missing; any number of processes may open it.

    A segment is finished when its entries have `segment_bytes` or it is `segment_age_s` old. `accept_loss`:
    go on without entries that are missing. Raises `LogFull` when the disk refuses, `LogIncomplete` when
    entries are missing, `dp3.sqlite.FormatError` for files of another program or a newer version."""
    rotation = Rotation(segment_bytes, round(segment_age_s * 1_000_000))
    return SegmentLog(directory / "log", clock, rotation, accept_loss=accept_loss)


class _LaneFiles:
    """Everything for one lane."""

    def __init__(
        self,
        lane: Lane,
        directory: Path,
        clock: Clock,
        rotation: Rotation,
        checkpointer: Checkpointer,
        accept_loss: bool,
    ) -> None:
        self.files = SegmentFiles(lane, directory)
        lock = FairLock(directory / "lock")
        try:
            with lock:
                require_whole(self.files, clock.now_us(), accept_loss=accept_loss)
            self.reader = LaneReader(lane, self.files)
            self.version = LaneVersion(self.reader, self.files)
            self.writer = LaneWriter(self.files, self.reader, clock, rotation, checkpointer, lock)
        except BaseException:
            self.files.close()
            lock.close()
            raise

    def close(self) -> None:
        self.version.close()
        self.writer.close()
        self.files.close()


class SegmentLog:
    """See `dp3.log.port.Log`; made by `open_log`."""

    def __init__(self, directory: Path, clock: Clock, rotation: Rotation, *, accept_loss: bool) -> None:
        self._clock = clock
        self._checkpointer = Checkpointer()
        self._lanes: dict[Lane, _LaneFiles] = {}
        try:
            for lane in Lane:
                folder = directory / lane.name.lower()
                self._lanes[lane] = _LaneFiles(lane, folder, clock, rotation, self._checkpointer, accept_loss)
        except BaseException:
            self.close()
            raise
        main = self._lanes[Lane.MAIN]
        self._recent = RecentKeys(main.reader, main.files, clock)

    def append(self, appends: Sequence[Append]) -> list[Appended | IdempotencyConflict]:
        """See `Log.append`."""
        lane = self._lane(Lane.MAIN)
        if any(append.idempotency for append in appends):
            self._recent.load(self._clock.now_us())
        seen = self.head(Lane.DERIVED).order
        with lane.writer.transaction() as (connection, tail):
            now = self._clock.now_us()
            entries = NewEntries(Lane.MAIN, tail, now, seen)
            return append_requests(connection, lane.files, entries, now, appends, self._recent)

    def append_outbox(self, parts: Sequence[OutboxSlice], after: int) -> Appended | None:
        """See `Log.append_outbox`. The tasks of all parts become one entry, so their numbers (`first`)
        must differ among all parts of a call."""
        lane = self._lane(Lane.DERIVED)
        seen = self.head(Lane.MAIN).order
        with lane.writer.transaction() as (connection, tail):
            entries = NewEntries(Lane.DERIVED, tail, self._clock.now_us(), max(seen, after))
            return append_outbox(connection, lane.files, entries, parts)

    def producer_keys(self) -> dict[Producer, int]:
        """See `Log.producer_keys`."""
        return self._lane(Lane.DERIVED).reader.producer_keys()

    def read(self, lane: Lane, after: int, max_bytes: int) -> list[Entry]:
        """See `Log.read`."""
        return self._lane(lane).reader.read(after, max_bytes)

    def read_back(self, lane: Lane, before: int | None, max_bytes: int) -> list[Entry]:
        """See `Log.read_back`."""
        return self._lane(lane).reader.read_back(before, max_bytes)

    def head(self, lane: Lane) -> Head:
        """See `Log.head`."""
        return self._lane(lane).reader.head()

    def bytes_until(self, lane: Lane, offset: int) -> int:
        """See `Log.bytes_until`."""
        return self._lane(lane).reader.bytes_until(offset)

    def bytes_after(self, lane: Lane, offset: int) -> int:
        """See `Log.bytes_after`."""
        return self._lane(lane).reader.bytes_after(offset)

    def begin(self, lane: Lane) -> int:
        """See `Log.begin`."""
        return self._lane(lane).reader.begin()

    def resume_after(self, lane: Lane, offset: int, order: int) -> None:
        """See `Log.resume_after`."""
        self._lane(lane).writer.resume_after(offset, order)

    def order_after(self, lane: Lane, offset: int) -> int | None:
        """See `Log.order_after`."""
        return self._lane(lane).reader.order_after(offset)

    def append_time_after(self, lane: Lane, offset: int) -> int | None:
        """See `Log.append_time_after`."""
        return self._lane(lane).reader.append_time_after(offset)

    def bounds(self, orders: Collection[int]) -> dict[int, tuple[int, int]]:
        """See `Log.bounds`."""
        main, derived = (self._lane(lane).reader.offsets_until(orders) for lane in Lane)
        return {order: (main[order], derived[order]) for order in orders}

    def waiting(self, lane: Lane, offsets: Collection[int]) -> dict[int, Waiting]:
        """See `Log.waiting`."""
        return self._lane(lane).reader.waiting(offsets)

    def offset_at(self, lane: Lane, time_us: int) -> int | None:
        """See `Log.offset_at`."""
        return self._lane(lane).reader.offset_at(time_us)

    def version(self) -> tuple[int, ...]:
        """See `Log.version`."""
        return self._lane(Lane.MAIN).version.get() + self._lane(Lane.DERIVED).version.get()

    def finished(self, lane: Lane, before_us: int) -> list[LogSegment]:
        """See `Log.finished`."""
        return self._lane(lane).reader.finished(before_us, self._clock.now_us())

    def remove_before(self, lane: Lane, offset: int) -> int:
        """See `Log.remove_before`."""
        return self._lane(lane).writer.remove_before(offset, self._clock.now_us() - IDEMPOTENCY_WINDOW_US)

    def disk_bytes(self, lane: Lane) -> int:
        """See `Log.disk_bytes`."""
        return bytes_in(self._lane(lane).files.directory.iterdir())

    def close(self) -> None:
        """See `Log.close`. Closing twice is allowed."""
        lanes, self._lanes = self._lanes, {}
        self._checkpointer.close()
        for lane in lanes.values():
            lane.close()

    def _lane(self, lane: Lane) -> _LaneFiles:
        try:
            return self._lanes[lane]
        except KeyError:
            raise RuntimeError("the log is closed") from None
