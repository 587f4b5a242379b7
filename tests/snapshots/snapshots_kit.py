"""An application in one process, all real: log, state, worker and snapshot work, stepped by the test."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from sample_settings import EIDS, Setting
from workers_kit import NEVER, PARTITIONS, Cluster, OneWorker

from dp3.engine.snapshots import loading, phases, work
from dp3.engine.snapshots.doc import decode_doc, expand
from dp3.engine.snapshots.plans import Limits
from dp3.engine.snapshots.setup import SnapshotSettings
from dp3.log.port import Append, Appended, Entry, Lane
from dp3.model.partition import partition_of
from dp3.model.wire import WirePoint, WireTask, encode_tasks
from dp3.store.query import EVERYTHING, Where
from dp3.store.snapshots import Key, Run
from dp3.store.sqlite import cleaning

SECOND_US = 1_000_000
APPEND_US = 4
"""Every append takes some time, so that append times never run ahead of the clock."""

MOST_STEPS = 10_000
"""No run of a test takes so many slices."""

FIRST_TIME, LAST_TIME = 0, 1 << 62

Doc = dict[str, Any]


@contextmanager
def an_application() -> Iterator["Application"]:
    """Few links and entities are read at once, so that even small ones take many pieces."""
    small = patch.multiple(loading, FIRST_PAGE=1, LARGEST_PAGE=2), patch.object(work, "EDGES", 1)
    with TemporaryDirectory() as directory, small[0], small[1]:
        application = Application(Path(directory))
        try:
            yield application
        finally:
            application.close()


class Application:
    """What a scenario acts on; `restart` comes first."""

    def __init__(self, directory: Path) -> None:
        self._cluster = Cluster(directory, 0)
        self.clock, self.log, self.store = self._cluster.clock, self._cluster.log, self._cluster.store
        self._workers: list[OneWorker] = []

    def close(self) -> None:
        self._end_workers()
        self._cluster.close()

    def restart(self, setting: Setting, processes: int = 1) -> None:
        """End all workers and start others with a setting."""
        self._end_workers()
        self._cluster.processes = processes
        settings = SnapshotSettings(NEVER, Limits(keep_empty=setting.keep_empty))
        self._workers = [
            OneWorker(self._cluster, index, setting.registrar, settings, threads=False)
            for index in range(processes)
        ]

    def _end_workers(self) -> None:
        for worker in self._workers:
            worker.stop()

    def _offsets(self, worker: OneWorker) -> dict[int, int]:
        offsets: dict[int, int] = {}
        for partition, lane, offset in self.store.positions():
            if partition % len(self._workers) == worker.lease.index:
                offsets[lane] = min(offset, offsets.get(lane, offset))
        return offsets

    # -- what happens --------------------------------------------------------------------------------
    @property
    def now_us(self) -> int:
        return self.clock.now_us()

    def wait(self, us: int) -> None:
        self.clock.advance(us / SECOND_US)

    def wait_until(self, us: int) -> None:
        self.wait(us - self.now_us)

    def send(self, etype: str, eid: int | str, *points: WirePoint, delete: bool = False) -> int:
        """Put a task into the log; returns the append time."""
        task = WireTask(etype, eid, list(points), delete=delete)
        [added] = self.log.append([Append([{partition_of(etype, eid, PARTITIONS): encode_tasks([task])}])])
        assert isinstance(added, Appended)
        self.wait(APPEND_US)
        return added.append_time

    def run(self) -> Run:
        """A snapshot run from its beginning to its end, while nothing is read from the log."""
        begun = self.begin_run()
        self.finish_run()
        run = self.last_run()
        assert run.id == begun.id
        assert run.status == "complete", run
        return run

    def begin_run(self) -> Run:
        run = self._workers[-1].snapshots.request()
        assert run is not None
        return run

    def finish_run(self) -> None:
        for _ in range(MOST_STEPS):
            if self.store.open_run() is None:
                return
            for worker in self._workers:
                self._go_on(worker)
        raise AssertionError("the run does not end")

    def last_run(self) -> Run:
        return self.store.last_runs(1)[0]

    def last_complete(self) -> int | None:
        """When the newest complete run was."""
        complete = (run.time for run in self.store.last_runs(1_000) if run.status == "complete")
        return next(complete, None)

    def _go_on(self, worker: OneWorker) -> None:
        worker.snapshots.step(partial(self._offsets, worker), patient=True)

    def go_on_slowly(self, worker: int = 0, pieces: int = 1) -> None:
        """One worker goes on with the open run by so many of the smallest pieces that there are."""
        with patch.object(phases, "SLICE_S", 0.0):
            for _ in range(pieces):
                self._go_on(self._workers[worker % len(self._workers)])

    def begin_packing(self) -> None:
        """From now on workers pack history when they have nothing else to do."""
        for worker in self._workers:
            worker.history.request()

    def begin_cleaning(self, before_us: int) -> None:
        """From now on runs before a moment are to go."""
        self.store.raise_snapshot_horizon(self._workers[-1].lease, before_us)

    def clean_slowly(self, workers: Iterable[int]) -> None:
        """Go on with cleaning by the smallest slices that there are, each by the worker named."""
        with patch.multiple(cleaning, CHUNK_RUNS=1, SLICE_S=0.0):
            for index in workers:
                self.store.clean_snapshots(self._workers[index % len(self._workers)].lease, 1)

    def finish_cleaning(self) -> None:
        for worker in self._workers:
            while self.store.clean_snapshots(worker.lease, 1_000).more:
                pass

    def run_times(self) -> list[int]:
        """Of all runs that are shown."""
        return [run.time for run in self.store.runs_between(FIRST_TIME, LAST_TIME)]

    def drain(self) -> list[Entry]:
        """Bring the tasks of hooks to the log; returns what came to it."""
        before = self.log.head(Lane.DERIVED).offset
        for worker in self._workers:
            while worker.drain():
                pass
        self.wait(APPEND_US)
        return self._cluster.derived_after(before)

    def process(self) -> None:
        """Let the workers do everything that waits, and what they leave in the log for each other."""
        while any(worker.step() for worker in self._workers) or self.drain():
            pass

    def take_in(self) -> None:
        """Let the workers read all that is in the log; a batch is followed by a piece of the run."""
        with patch.object(phases, "SLICE_S", 0.0):
            for worker in self._workers:
                while self._is_behind(worker):
                    worker.step()

    def _is_behind(self, worker: OneWorker) -> bool:
        offsets = self._offsets(worker)
        return any(offsets[lane] < self.log.head(lane).offset for lane in Lane)

    # -- what readers see ----------------------------------------------------------------------------
    def snapshots(self, etype: str, eid: int | str) -> list[tuple[int, Doc]]:
        """(run time, snapshot) of all runs that saw the entity, from the rows that were stored."""
        rows = self.store.snapshots_of(etype, str(eid))
        if not rows:
            return []
        runs = self.store.runs_between(FIRST_TIME, LAST_TIME)
        covered = self.store.covered(rows[0].entity, [run.id for run in runs])
        seen = [run for run in runs if run.id in covered and run.id >= rows[0].run]
        return [(run.time, expand(decode_doc(_row_at(rows, run)), run.time)) for run in seen]

    def shown(self, run: Run) -> dict[tuple[str, str], Doc]:
        """The snapshots of a run that is over, by entity type and id."""
        everyone = [(etype, str(eid)) for etype, eids in EIDS.items() for eid in eids]
        found = {ref: dict(self.snapshots(*ref)).get(run.time) for ref in everyone}
        return {ref: doc for ref, doc in found.items() if doc is not None}

    def latest(self, etype: str, where: Where = EVERYTHING) -> dict[str, tuple[int, Doc]]:
        """(run time, snapshot) of all entities for which a condition holds, by id."""
        found = self.store.find(etype, where, limit=None)
        return {row.eid: (row.run_time, expand(decode_doc(row.doc), row.run_time)) for row in found}

    def made_at(self, run_time: int) -> dict[tuple[str, str], Doc]:
        """The newest snapshots that are of a run at this time, by entity type and id."""
        found = {(etype, eid): at for etype in EIDS for eid, at in self.latest(etype).items()}
        return {ref: doc for ref, (time, doc) in found.items() if time == run_time}

    def distinct(self, etype: str, path: str) -> dict[Key, int]:
        return dict(self.store.distinct(etype, path))


def _row_at(rows: Sequence[Any], run: Run) -> bytes:
    document: bytes = [row.doc for row in rows if row.run <= run.id][-1]
    return document
