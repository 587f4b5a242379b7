"""Background jobs of a worker that tests run alone; as a program, `python -m kit.jobs`, the archiving."""

import os
import sys
from collections.abc import Sequence
from concurrent.futures import wait
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from dp3.clock_watch import ClockWatch
from dp3.config.sections import DatapointArchivationSettings, TelemetrySettings
from dp3.engine.context import Context
from dp3.engine.jobs.archive import Archive
from dp3.engine.jobs.job import Waiting
from dp3.engine.jobs.sizes import SizeMeasurement
from dp3.engine.statistics import Statistics
from dp3.hooks.pool import DaemonPool
from dp3.hooks.watch import HookWatch
from dp3.store.ports.leases import Holder, Lease
from kit.place import LEASE_TTL_S, Place
from kit.worker import cron

WEEK_US = 7 * 86_400 * 1_000_000

T = TypeVar("T")


def done(work: Waiting[T]) -> T:
    """Do work of a job to its end."""
    while True:
        try:
            awaited = next(work)
        except StopIteration as end:
            result: T = end.value
            return result
        if awaited is not None:
            wait((awaited,))


def context_of(place: Place, lease: Lease) -> Context:
    return Context(
        place.log, place.store, place.clock, lease, HookWatch(), Statistics(), ClockWatch(place.clock)
    )


class Archiver:
    """Archives when a test says so, into a directory that is made if it is missing."""

    def __init__(self, place: Place, lease: Lease, directory: Path | None, older_than_us: int) -> None:
        if directory is not None:
            directory.mkdir(exist_ok=True)
        settings = DatapointArchivationSettings(
            schedule=cron(None), older_than=timedelta(microseconds=older_than_us), archive_dir=directory
        )
        self._job = Archive(context_of(place, lease), settings, DaemonPool(1, "archive"))

    def run(self) -> int:
        """Archive what is old; returns how many segments of the log went."""
        return done(self._job.run())


class Measurer:
    """Measures attributes when a test says so."""

    def __init__(self, place: Place, lease: Lease, etypes: Sequence[str]) -> None:
        settings = TelemetrySettings(attribute_bson_size_schedule=cron(None))
        self._job = SizeMeasurement(context_of(place, lease), settings, etypes, DaemonPool(1, "sizes"))

    def measure(self, due: int) -> bool:
        """Whether it was done, for a moment."""
        return done(self._job.measure(due))


def archiver(place: Place, lease: Lease, directory: Path | None, older_than_us: int = WEEK_US) -> Archiver:
    return Archiver(place, lease, directory, older_than_us)


def archive(place: Place, directory: Path | None, older_than_us: int = WEEK_US) -> int:
    """Archive what is old; returns how many segments of the log went."""
    lease = place.store.leases.take(0, 1, Holder("host", 1), LEASE_TTL_S)
    try:
        return archiver(place, lease, directory, older_than_us).run()
    finally:
        place.store.leases.release(lease)


def measurer(place: Place, etypes: Sequence[str], index: int, processes: int) -> Measurer:
    lease = place.store.leases.take(index, processes, Holder("host", 1), LEASE_TTL_S)
    return Measurer(place, lease, etypes)


def main(directory: str, now_us: str, segment_bytes: str, older_than_us: str) -> None:
    place = Place(Path(directory), int(now_us), segment_bytes=int(segment_bytes))
    sys.stdout.write("begin\n")
    sys.stdout.flush()
    lease = place.store.leases.take(0, 1, Holder("host", os.getpid()), LEASE_TTL_S)
    archiver(place, lease, place.directory / "archive", int(older_than_us)).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
