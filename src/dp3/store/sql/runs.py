"""Runs of snapshot creation, and progress with them."""

from collections.abc import Mapping, Sequence
from typing import Any

from dp3.clock import Clock
from dp3.store.ports.leases import Lease
from dp3.store.ports.runs import Phase, Run, WorkerRun
from dp3.store.ports.snapshots import SnapshotBatch
from dp3.store.sql.parameters import from_json, to_json
from dp3.store.sql.session import Database, Session

_PHASES = list(Phase)
_NEWEST = 2**63 - 1

PART_BYTES = 1 << 20
"""So much of a graph is written in one transaction: some 5 ms."""


class Runs:
    """See `dp3.store.ports.runs.Runs`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def begin(self, time: int, fingerprint: str, workers: int) -> Run | None:
        values = {"time": time, "phase": Phase.INIT.value, "fingerprint": fingerprint, "workers": workers}
        with self._database.writing() as session:
            values["now"] = self._clock.now_us()
            row = session.row("runs.begin_run", values)
        return _run(row) if row else None

    def advance(
        self, run: int, phase: Phase, status: str, detail: Mapping[str, Any], void: bool = False
    ) -> None:
        with self._database.writing() as session:
            row = session.row("runs.run", (run,))
            if row is None:
                raise ValueError(f"there is no run {run} to advance to {phase.value!r}")
            known = _run(row)
            if _PHASES.index(phase) <= _PHASES.index(known.phase):
                return
            values = {"id": run, "phase": phase.value, "status": status, "now": self._clock.now_us()}
            values["detail"] = to_json({**known.detail, **detail})
            session.run("runs.advance_run", values)
            if void:
                session.run("runs.remove_watermarks", (run,))
            if phase is Phase.CLOSED:
                self._remove_graphs(session, run)

    def open(self) -> Run | None:
        found = self._runs("open_run")
        return found[0] if found else None

    def last(self, limit: int, before: int | None = None) -> list[Run]:
        return self._runs("last_runs", _NEWEST if before is None else before, limit)

    def begun(self, first: int, last: int, skip: int, limit: int, newest_first: bool) -> list[Run]:
        statement = "begun_newest_first" if newest_first else "begun_oldest_first"
        return self._runs(statement, first, last, limit, skip)

    def between(self, first: int, last: int) -> list[Run]:
        return self._runs("runs_between", first, last)

    def _runs(self, statement: str, *values: int) -> list[Run]:
        return list(map(_run, self._database.rows(f"runs.{statement}", values)))

    def workers(self, run: int) -> list[WorkerRun]:
        rows = map(WorkerRun._make, self._database.rows("runs.worker_runs", (run,)))
        return [row._replace(checkpoint=from_json(str(row.checkpoint))) for row in rows]

    def put_graph(self, lease: Lease, run: int, graph: bytes) -> None:
        for part, start in enumerate(range(0, len(graph), PART_BYTES)):
            with self._database.owned(lease) as session:
                row = (run, lease.index, part, graph[start : start + PART_BYTES])
                session.run("runs.graph_put_part", row)
        with self._database.owned(lease) as session:
            session.run("runs.graph_complete", (run, lease.index))

    def graph(self, run: int) -> bytes | None:
        parts = [part for (part,) in self._database.rows("runs.graph_parts", (run,))]
        return b"".join(parts) if parts else None

    def _remove_graphs(self, session: Session, run: int) -> None:
        """Forget those up to a run, in the caller's transaction."""
        for statement in ("graph_remove", "graph_remove_parts"):
            session.run(f"runs.{statement}", (run,))

    def watermarks(self) -> dict[tuple[int, int], int]:
        rows = self._database.rows("runs.watermarks")
        return {(partition, lane): offset for partition, lane, offset in rows}

    def covered(self, entity: int, runs: Sequence[int]) -> set[int]:
        wanted = {"entity": entity, "runs": list(runs)}
        return {run for (run,) in self._database.rows("runs.covered", wanted)}

    def write_progress(self, session: Session, batch: SnapshotBatch) -> None:
        """Progress of a worker, in the caller's transaction."""
        if batch.progress:
            *row, checkpoint = batch.progress[:4]
            columns = (*row, to_json(checkpoint), *batch.progress[4:])
            session.run("runs.put_worker_run", columns)
        reached = [(partition, batch.run, lane, offset) for partition, lane, offset in batch.watermarks]
        session.bulk("runs.put_watermarks", reached)


def _run(row: Sequence[Any]) -> Run:
    run = Run._make(row)
    return run._replace(phase=Phase(run.phase), detail=from_json(str(run.detail)))
