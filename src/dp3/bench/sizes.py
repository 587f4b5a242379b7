"""What snapshots take of the state."""

from pathlib import Path
from typing import NamedTuple

from dp3.sqlite import connect

PAGES = "SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE"

ROWS = "snapshot"
ALL = (
    ROWS,
    "latest",
    "latest_due",
    "current",
    "current_of_entity",
    "path",
    "run",
    "worker_run",
    "cut",
    "missing",
)
"""Tables and indexes; those that the database makes by itself begin with the names of their tables."""


class SnapshotBytes(NamedTuple):
    """Bytes of the stored rows, and of all that runs write: also the index of current values and records."""

    rows: int
    all: int


def snapshot_bytes(data: Path) -> SnapshotBytes:
    """Read from the state of a program that may be running."""
    connection = connect(data / "state" / "state.db", readonly=True)
    try:
        pages = dict(connection.execute(PAGES))
    finally:
        connection.close()
    return SnapshotBytes(pages[ROWS], sum(size for name, size in pages.items() if _table(name) in ALL))


def _table(name: str) -> str:
    """`sqlite_autoindex_run_1` belongs to `run`."""
    return name.removeprefix("sqlite_autoindex_").rpartition("_")[0] if name.startswith("sqlite_") else name
