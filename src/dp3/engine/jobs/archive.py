"""Archives raw data-points: old segments of the log become files, then they go."""

import contextlib
import gzip
import logging
from collections.abc import Iterable
from concurrent.futures import Executor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from dp3.clock import to_datetime
from dp3.config.sections import DatapointArchivationSettings
from dp3.engine.context import Context
from dp3.engine.jobs.job import Schedule, Waiting, Work, result_of
from dp3.files import sync_path
from dp3.log.port import IDEMPOTENCY_WINDOW_US, Entry, Lane, LogSegment
from dp3.model.wire import Undecodable, WireTask, decode_slice, raw_rows
from dp3.store.ports.batches import reached_by_all

JOB = "archive"
JOB_TTL_S = 600.0
"""Another worker takes over if nothing was heard for so long; a segment takes a minute."""

READ_BYTES = 256 << 10
"""Of the log in one piece: some 30 ms."""

MOST_FAILURES = 3
"""After so many in a row archiving waits for its next moment: a segment is written anew each time."""

PARTIAL = ".partial"
TIME = "%Y%m%dT%H%M%S"

_encode = msgspec.json.Encoder().encode

logger = logging.getLogger(__name__)


class ArchiveDamaged(Exception):
    """A file can not be read back as it was written; nothing may be deleted because of it."""


class Archive:
    """Archives by schedule, piece by piece in a thread of `io`. Of all workers one at a time does."""

    name = JOB
    watches = False
    every = 1

    def __init__(self, context: Context, settings: DatapointArchivationSettings, io: Executor) -> None:
        self._log = context.log
        self._state = context.store
        self._clock = context.clock
        self._clock_watch = context.clock_watch
        self._lease = context.lease
        self._older_than_us = settings.older_than // timedelta(microseconds=1)
        self._directory = settings.archive_dir
        self._io = io
        self._schedule = Schedule(settings.schedule, context.clock.now_us())
        self._wanted = False
        self.wake_at = self._schedule.next

    def begin(self, now: int, failures: int) -> Work | None:
        """See `Job.begin`."""
        if self._schedule.due(now) is not None:
            self._wanted, failures = True, 0
        self.wake_at = self._schedule.next
        if failures > MOST_FAILURES:
            self._wanted = False
            logger.error("raw data was not archived, what was not archived stays")
        return self._steps() if self._wanted and self._clock_watch.is_trusted else None

    def _steps(self) -> Work:
        yield from self.run()
        self._wanted = False

    def run(self) -> Waiting[int]:
        """Archive and remove what is old enough; returns how many segments went.

        A segment is removed once its file is complete, and only if all workers have processed it. What came
        within the last 24 hours stays in any case: the log knows by it which requests it took. Raises
        `OSError` when the disk refuses, `ArchiveDamaged`, `LeaseLost` and `StoreFull`."""
        removed = 0
        before_us = self._clock.now_us() - max(self._older_than_us, IDEMPOTENCY_WINDOW_US)
        if not self._clock_watch.is_trusted:
            return removed
        for lane in Lane:
            reached = reached_by_all(self._state.batches)[lane]
            for segment in self._log.finished(lane, before_us):
                if segment.last > reached or not self._state.leases.take_job(self._lease, JOB, JOB_TTL_S):
                    break
                if self._directory is not None:
                    yield from self._archive(self._directory, lane, segment)
                removed += yield from result_of(self._io.submit(self._remove, lane, segment.last))
        return removed

    def _archive(self, directory: Path, lane: Lane, segment: LogSegment) -> Waiting[None]:
        times = (to_datetime(segment.first_us), to_datetime(segment.last_us))
        file = ArchiveFile(directory, f"{lane.name.lower()}-{segment.first}", times)
        try:
            after = segment.first - 1
            while after < segment.last:
                after = yield from result_of(self._io.submit(self._copy, file, lane, after, segment.last))
            path = yield from result_of(self._io.submit(file.complete))
        finally:
            file.discard()
        logger.info("raw data archived: %s", path)

    def _copy(self, file: "ArchiveFile", lane: Lane, after: int, last: int) -> int:
        """Add data-points of some entries, but those that an allow hook refused; returns the last offset."""
        entries = [entry for entry in self._log.read(lane, after, READ_BYTES) if entry.offset <= last]
        if not entries:  # damage that reaches into the next segment
            return last
        refused = self._state.batches.refused_between(lane, entries[0].offset, entries[-1].offset)
        for entry in entries:
            for task in _tasks(entry):
                if (entry.offset, task.first) not in refused:
                    file.add(raw_rows(task))
        return entries[-1].offset

    def _remove(self, lane: Lane, last: int) -> int:
        """Remove a segment from the log. Its file is complete."""
        # After a power loss the state must not be older than what the log begins with.
        self._state.batches.make_durable()
        removed = self._log.remove_before(lane, last + 1)
        self._state.batches.forget_refused(lane, last)
        return removed


class ArchiveFile:
    """One file of the archive, `dp-log-<first t1>--<last t1>.<name>.jsonl.gz`: compressed JSON Lines,
    complete or not there. The same rows again replace the file by the same one. `times` name it if no row
    has a `t1`."""

    def __init__(self, directory: Path, name: str, times: tuple[datetime, datetime]) -> None:
        self._directory = directory
        self._name = name
        self._partial = directory / f"{name}{PARTIAL}"
        self._file = self._partial.open("wb")
        # Without a name and a time in it the file is the same whenever it is made.
        self._packed = gzip.GzipFile("", "wb", fileobj=self._file, mtime=0)
        self._times = times
        self._first: datetime | None = None
        self._last: datetime | None = None
        self._rows = 0

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Add data-points as they are sent."""
        for row in rows:
            if (t1 := row["t1"]) is not None:
                self._first = t1 if self._first is None else min(self._first, t1)
                self._last = t1 if self._last is None else max(self._last, t1)
            self._packed.write(_encode(row) + b"\n")
            self._rows += 1

    def complete(self) -> Path:
        """Have the file on the disk, durably; returns its path. Raises `OSError` when the disk refuses and
        `ArchiveDamaged` if it does not give back what was written."""
        self._close()
        sync_path(self._partial)
        if (found := _lines_in(self._partial)) != self._rows:
            raise ArchiveDamaged(f"{self._partial}: wrote {self._rows} data-points, read back {found}")
        path = self._directory / f"dp-log-{self._span}.{self._name}.jsonl.gz"
        self._partial.rename(path)
        sync_path(self._directory)
        return path

    def discard(self) -> None:
        """Leave nothing of a file that is not complete. Called after `complete`, too, which leaves nothing to
        do."""
        with contextlib.suppress(OSError):
            self._close()
        self._partial.unlink(missing_ok=True)

    def _close(self) -> None:
        try:
            self._packed.close()
        finally:
            self._file.close()

    @property
    def _span(self) -> str:
        first, last = self._times
        return f"{(self._first or first).strftime(TIME)}--{(self._last or last).strftime(TIME)}"


def _lines_in(path: Path) -> int:
    try:
        with gzip.open(path, "rb") as packed:
            return sum(1 for _ in packed)
    except (OSError, EOFError) as error:
        raise ArchiveDamaged(f"{path}: {error}") from None


def _tasks(entry: Entry) -> list[WireTask]:
    """The tasks of an entry in their order. What is damaged was reported when it was processed."""
    tasks: list[WireTask] = []
    for part in entry.slices.values():
        try:
            tasks += decode_slice(part)
        except Undecodable as error:
            logger.warning("not archived: entry %s/%d: %s", entry.lane.name, entry.offset, error)
    tasks.sort(key=lambda task: task.first)
    return tasks
