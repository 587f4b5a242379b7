"""Archives raw data-points: old segments of the log become files, then they go."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dp3.clock import Clock, to_datetime
from dp3.engine.jobs.archive_file import ArchiveDamaged, Span, write_archive
from dp3.engine.jobs.schedule import Ticks
from dp3.log.port import IDEMPOTENCY_WINDOW_US, Entry, Lane, Log, LogSegment
from dp3.model.wire import Undecodable, WireTask, decode_slice, raw_rows
from dp3.store.ports.errors import LeaseLost, StoreFull
from dp3.store.ports.leases import Lease
from dp3.store.ports.state import State

JOB = "archive"
JOB_TTL_S = 600.0
"""Another worker takes over if nothing was heard for so long; a segment takes a minute."""

READ_BYTES = 256 << 10
LOOK_S = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ArchiveSettings:
    """`cron`: arguments of a cron trigger; what was appended longer than `older_than_us` ago goes, into
    `directory` if there is one."""

    cron: Mapping[str, Any]
    older_than_us: int
    directory: Path | None


class Archiver:
    """A thread of a worker that archives by schedule. Of all workers one at a time does."""

    def __init__(self, log: Log, store: State, clock: Clock, lease: Lease, settings: ArchiveSettings) -> None:
        self._log = log
        self._store = store
        self._clock = clock
        self._lease = lease
        self._settings = settings
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="archive", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Give up the file under way: it is made again after the next start."""
        self._stop.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        ticks = Ticks(self._settings.cron, self._clock.now_us())
        while not self._stop.wait(LOOK_S):
            if ticks.due(self._clock.now_us()) is None:
                continue
            try:
                self.run()
            except _Stopped:
                return
            except LeaseLost:
                logger.info("archiving stopped: another process has taken over")
                return
            except (OSError, ArchiveDamaged, StoreFull) as error:
                logger.error("raw data was not archived, nothing was removed: %s", error)
            except Exception:
                logger.exception("archiving failed; what was not archived stays")

    def run(self) -> int:
        """Archive and remove what is old enough; returns how many segments went.

        A segment is removed once its file is complete, and only if all workers have processed it. What came
        within the last 24 hours stays in any case: the log knows by it which requests it took. Raises what
        `write_archive` raises, and `LeaseLost`."""
        removed = 0
        before_us = self._clock.now_us() - max(self._settings.older_than_us, IDEMPOTENCY_WINDOW_US)
        for lane in Lane:
            processed = self._processed(lane)
            for segment in self._log.finished(lane, before_us):
                if segment.last > processed or not self._store.leases.take_job(self._lease, JOB, JOB_TTL_S):
                    break
                self._archive(lane, segment)
                # After a power loss the state must not be older than what the log begins with.
                self._store.batches.make_durable()
                removed += self._log.remove_before(lane, segment.last + 1)
                self._store.batches.forget_refused(lane, segment.last)
        return removed

    def _processed(self, lane: Lane) -> int:
        """The offset that all partitions have reached."""
        return min(offset for _, of, offset in self._store.batches.positions() if of == lane)

    def _archive(self, lane: Lane, segment: LogSegment) -> None:
        if self._settings.directory is None:
            return
        times = (to_datetime(segment.first_us), to_datetime(segment.last_us))
        name = f"{lane.name.lower()}-{segment.first}"
        path = write_archive(self._settings.directory, name, self._rows(lane, segment), Span(times))
        logger.info("raw data archived: %s", path)

    def _rows(self, lane: Lane, segment: LogSegment) -> Iterator[dict[str, Any]]:
        """All data-points of a segment but those that an allow hook refused. Takes turns with the worker:
        rests for as long as it has worked."""
        after = segment.first - 1
        while after < segment.last:
            if self._stop.is_set():
                raise _Stopped
            started = time.perf_counter()
            entries = [e for e in self._log.read(lane, after, READ_BYTES) if e.offset <= segment.last]
            after = entries[-1].offset
            refused = self._store.batches.refused_between(lane, entries[0].offset, after)
            for entry in entries:
                for task in _tasks(entry):
                    if (entry.offset, task.first) not in refused:
                        yield from raw_rows(task)
            self._stop.wait(time.perf_counter() - started)


class _Stopped(Exception):
    """The worker ends."""


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
