"""The log on SQLite: each lane is a folder of segment files."""

from collections.abc import Sequence
from pathlib import Path

from dp3.clock import Clock
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
)
from dp3.log.sqlite.appending import RecentKeys, append_outbox, append_requests
from dp3.log.sqlite.reading import LaneReader, LaneVersion
from dp3.log.sqlite.segments import SegmentFiles
from dp3.log.sqlite.writing import LaneWriter, Rotation
from dp3.sqlite import Checkpointer, bytes_in


def open_log(
    directory: Path, clock: Clock, *, segment_bytes: int = 128 << 20, segment_age_s: float = 86_400.0
) -> Log:
    """The log in `directory`/log, made if it is missing; any number of processes may open it.

    A segment is finished when its entries have `segment_bytes` or it is `segment_age_s` old. Raises
    `LogFull` when the disk refuses, `dp3.sqlite.FormatError` for files of another program or a newer version.
    """
    rotation = Rotation(segment_bytes, round(segment_age_s * 1_000_000))
    return SegmentLog(directory / "log", clock, rotation)


class _LaneFiles:
    """Everything for one lane."""

    def __init__(
        self, lane: Lane, directory: Path, clock: Clock, rotation: Rotation, checkpointer: Checkpointer
    ) -> None:
        self.files = SegmentFiles(directory)
        self.reader = LaneReader(lane, self.files)
        self.version = LaneVersion(self.reader, self.files)
        self.writer = LaneWriter(self.files, self.reader, clock, rotation, checkpointer)

    def close(self) -> None:
        self.version.close()
        self.writer.close()
        self.files.close()


class SegmentLog:
    """See `dp3.log.port.Log`; made by `open_log`."""

    def __init__(self, directory: Path, clock: Clock, rotation: Rotation) -> None:
        self._clock = clock
        self._checkpointer = Checkpointer()
        self._lanes: dict[Lane, _LaneFiles] = {}
        try:
            for lane in Lane:
                folder = directory / lane.name.lower()
                self._lanes[lane] = _LaneFiles(lane, folder, clock, rotation, self._checkpointer)
        except BaseException:
            self.close()
            raise
        main = self._lanes[Lane.MAIN]
        self._recent = RecentKeys(main.reader, main.files)

    def append(self, appends: Sequence[Append]) -> list[Appended | IdempotencyConflict]:
        """See `Log.append`."""
        lane = self._lane(Lane.MAIN)
        if any(append.idempotency for append in appends):
            self._recent.load(self._clock.now_us() - IDEMPOTENCY_WINDOW_US)
        with lane.writer.transaction() as (connection, tail):
            now = self._clock.now_us()
            return append_requests(connection, lane.files.sql, tail, now, appends, self._recent)

    def append_outbox(self, parts: Sequence[OutboxSlice], after_us: int) -> Appended | None:
        """See `Log.append_outbox`. The tasks of all parts become one entry, so their numbers (`first`)
        must differ among all parts of a call."""
        lane = self._lane(Lane.DERIVED)
        with lane.writer.transaction() as (connection, tail):
            return append_outbox(connection, lane.files.sql, tail, self._clock.now_us(), parts, after_us)

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

    def append_time_after(self, lane: Lane, offset: int) -> int | None:
        """See `Log.append_time_after`."""
        return self._lane(lane).reader.append_time_after(offset)

    def version(self) -> tuple[int, ...]:
        """See `Log.version`."""
        return self._lane(Lane.MAIN).version.get() + self._lane(Lane.DERIVED).version.get()

    def finished(self, lane: Lane, before_us: int) -> list[LogSegment]:
        """See `Log.finished`."""
        return self._lane(lane).reader.finished(before_us)

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
