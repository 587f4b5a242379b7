"""Background jobs of a worker that tests run alone; as a program, `python -m kit.jobs`, the archiving."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from dp3.engine.jobs.archive import Archiver, ArchiveSettings
from dp3.engine.jobs.sizes import SizeMeasurer
from dp3.store.ports.leases import Lease
from kit.place import LEASE_TTL_S, NEVER, Place

WEEK_US = 7 * 86_400 * 1_000_000


def archiver(place: Place, lease: Lease, directory: Path | None, older_than_us: int = WEEK_US) -> Archiver:
    """Archives when a test says so."""
    settings = ArchiveSettings(NEVER, older_than_us, directory)
    return Archiver(place.log, place.store, place.clock, lease, settings)


def archive(place: Place, directory: Path | None, older_than_us: int = WEEK_US) -> int:
    """Archive what is old; returns how many segments of the log went."""
    lease = place.store.leases.take(0, 1, "host", 1, LEASE_TTL_S)
    try:
        return archiver(place, lease, directory, older_than_us).run()
    finally:
        place.store.leases.release(lease)


def measurer(place: Place, etypes: Sequence[str], index: int, processes: int) -> SizeMeasurer:
    """Measures attributes when a test says so."""
    lease = place.store.leases.take(index, processes, "host", 1, LEASE_TTL_S)
    return SizeMeasurer(place.store, place.clock, lease, NEVER, etypes)


def main(directory: str, now_us: str, segment_bytes: str, older_than_us: str) -> None:
    place = Place(Path(directory), int(now_us), segment_bytes=int(segment_bytes))
    sys.stdout.write("begin\n")
    sys.stdout.flush()
    lease = place.store.leases.take(0, 1, "host", os.getpid(), LEASE_TTL_S)
    archiver(place, lease, place.directory / "archive", int(older_than_us)).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
