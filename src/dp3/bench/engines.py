"""The engines under a program that is measured: where it keeps log and state."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from dp3.bench.application import Settings
from dp3.bench.state import StateView, state_of
from dp3.clock import SystemClock
from dp3.log.port import Log
from dp3.log.sqlite import open_log
from dp3.sqlite import connect
from dp3.store.ports.state import State
from dp3.store.sqlite import open_state

SNAPSHOT = "snapshot"
SNAPSHOT_TABLES = (
    SNAPSHOT,
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
"""Tables and indexes that runs write; those that the database makes by itself begin with the names of their
tables."""

PAGES = "SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE"


class Engine(Protocol):
    """`data` is always the data directory of the program."""

    @property
    def settings(self) -> Mapping[str, Settings]:
        """Of configuration files, by their names, so that the program uses this engine."""
        ...

    def opened(self, data: Path) -> AbstractContextManager[tuple[Log, State]]:
        """The log and the state that a stopped program left."""
        ...

    def state(self, data: Path) -> AbstractContextManager[StateView]:
        """The state of a program that may be running."""
        ...

    def disk_bytes(self, data: Path) -> int:
        """Bytes that log and state take."""
        ...

    def snapshot_bytes(self, data: Path) -> tuple[int, int]:
        """Bytes of the stored snapshots, and of all that runs write: also the index of current values and
        records. The program may be running."""
        ...

    def cpu_s(self) -> dict[str, float]:
        """Seconds that processes of the engine have computed, by role; none if it is in the program."""
        ...

    def wal_bytes(self) -> int | None:
        """Bytes of write-ahead log since the engine exists; None where nobody counts them."""
        ...


class Embedded:
    """SQLite in the data directory."""

    @property
    def settings(self) -> Mapping[str, Settings]:
        """See the protocol."""
        return {}

    @contextmanager
    def opened(self, data: Path) -> Iterator[tuple[Log, State]]:
        """See the protocol."""
        clock = SystemClock()
        log = open_log(data, clock)
        store = open_state(data / "state", clock)
        try:
            yield log, store
        finally:
            store.close()
            log.close()

    def state(self, data: Path) -> AbstractContextManager[StateView]:
        """See the protocol."""
        return state_of(data)

    def disk_bytes(self, data: Path) -> int:
        """See the protocol."""
        return sum(path.stat().st_size for path in data.rglob("*") if path.is_file())

    def snapshot_bytes(self, data: Path) -> tuple[int, int]:
        """See the protocol."""
        connection = connect(data / "state" / "state.db", readonly=True)
        try:
            pages = dict(connection.execute(PAGES))
        finally:
            connection.close()
        return pages[SNAPSHOT], sum(size for name, size in pages.items() if _table(name) in SNAPSHOT_TABLES)

    def cpu_s(self) -> dict[str, float]:
        """See the protocol."""
        return {}

    def wal_bytes(self) -> int | None:
        """See the protocol."""
        return None


EMBEDDED: Engine = Embedded()


def _table(name: str) -> str:
    """`sqlite_autoindex_run_1` belongs to `run`."""
    return name.removeprefix("sqlite_autoindex_").rpartition("_")[0] if name.startswith("sqlite_") else name
