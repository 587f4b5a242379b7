"""Removing what is only needed for runs before a horizon, a slice at a time."""

import time
from collections.abc import Mapping

import apsw
import msgspec

from dp3.sqlite import load_statements
from dp3.store.ports.leases import Lease
from dp3.store.ports.snapshots import Cleaned
from dp3.store.sqlite.connections import Readers
from dp3.store.sqlite.leases import Leases

SLICE_S = 0.03
"""A slice begins no further chunk after this time, so it holds the write lock for less than 50 ms."""

CHUNK_ROWS = 200
"""Rows are scattered; one costs up to some 20 µs to remove."""

CHUNK_RUNS = 50
"""Runs have a row for every worker, with what it reported."""

KINDS = ("cut", "missing", "rows")
"""What there is of partitions, in this order: that a run completed them must not be known any more when what
is missing in it is forgotten."""

_superseded = msgspec.json.Decoder(list[tuple[int, int]]).decode


class SnapshotCleaning:
    """See `raise_snapshot_horizon`, `snapshot_horizon` and `clean_snapshots` of `SnapshotStore`.

    Runs go first, so nobody sees one of which rows are missing. That a row was superseded is noted when the
    next one is written; only what is to be removed is looked at.
    """

    def __init__(self, readers: Readers, leases: Leases) -> None:
        self._readers = readers
        self._leases = leases
        self._sql = load_statements("dp3.store.sqlite", "cleaning.sql")

    def raise_horizon(self, lease: Lease, before: int) -> None:
        with self._leases.owned(lease) as connection:
            connection.execute(self._sql["raise_horizon"], {"before": before})

    def horizon(self) -> int | None:
        with self._readers.state() as state:
            found: int | None = state.execute(self._sql["horizon_time"]).get
            return found

    def clean(self, lease: Lease, max_rows: int) -> Cleaned:
        cleaned = Cleaned(more=True)
        with self._leases.owned(lease) as connection:
            horizon: int | None = connection.execute(self._sql["horizon"]).get
            if horizon is None:
                return Cleaned()
            end = time.monotonic() + SLICE_S
            chunk = _Chunk(connection, self._sql, lease, horizon)
            while cleaned.more and cleaned.rows < max_rows and time.monotonic() < end:
                cleaned = cleaned.and_then(chunk.remove(min(CHUNK_ROWS, max_rows - cleaned.rows)))
        return cleaned


class _Chunk:
    """Removes a few rows in the caller's transaction."""

    def __init__(
        self, connection: apsw.Connection, sql: Mapping[str, str], lease: Lease, horizon: int
    ) -> None:
        self._connection = connection
        self._sql = sql
        self._horizon = horizon
        self._mine = {
            "worker": lease.index,
            "worker_processes": lease.worker_processes,
            "horizon": horizon,
        }

    def remove(self, limit: int) -> Cleaned:
        """Remove what one statement takes of what is left, about `limit` rows."""
        if runs := self._remove_runs():
            return Cleaned(runs=runs, more=True)
        for kind in KINDS:
            partition: int | None = self._connection.execute(self._sql[f"old_{kind}"], self._mine).get
            if partition is not None:
                some = {"partition": partition, "horizon": self._horizon, "limit": limit}
                return Cleaned(rows=self._remove_some(kind, some), more=True)
        return Cleaned()

    def _remove_runs(self) -> int:
        some = {"horizon": self._horizon, "limit": CHUNK_RUNS}
        last: int | None = self._connection.execute(self._sql["last_old_run"], some).get
        if last is None:
            return 0
        self._connection.execute(self._sql["remove_worker_runs"], (last,))
        self._connection.execute(self._sql["remove_runs"], (last,))
        return self._connection.changes()

    def _remove_some(self, kind: str, some: Mapping[str, int]) -> int:
        """Returns how many rows of snapshots were removed."""
        if kind != "rows":
            self._connection.execute(self._sql[f"remove_{kind}"], some)
            return 0
        text: str = self._connection.execute(self._sql["superseded"], some).get
        self._connection.execute(self._sql["remove_rows"], (text,))
        removed = self._connection.changes()
        self._connection.execute(self._sql["remove_superseded"], (some["partition"], *_superseded(text)[-1]))
        return removed
