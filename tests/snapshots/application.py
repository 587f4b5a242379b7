"""An application in one process, all real: log, state, worker and snapshot work, stepped by the test."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sample_settings import EIDS, Setting

from dp3.clock import LAST_US
from dp3.engine.jobs.snapshots.doc import decode_doc, expand
from dp3.log.port import Entry, Lane
from dp3.model.wire import WirePoint
from dp3.store.ports.queries import EVERYTHING, Where
from dp3.store.ports.runs import Run
from dp3.store.ports.snapshots import Key
from kit.engine import RUNS_MODEL, Engine
from kit.limits import run_edges, run_pages, short_slices, smallest_removals
from kit.points import START_US, task
from kit.worker import Options, PackLimits, SteppedWorker

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
    with TemporaryDirectory() as directory, run_pages(1, 2), run_edges(1):
        application = Application(Path(directory))
        try:
            yield application
        finally:
            application.close()


class Application:
    """What a scenario acts on; `restart` comes first."""

    def __init__(self, directory: Path) -> None:
        options = Options(threads=0, limits=PackLimits(slice=2, row=3))
        self._engine = Engine(directory, RUNS_MODEL, options, now_us=START_US, partitions=4)
        self.clock, self.log, self.store = self._engine.clock, self._engine.log, self._engine.store
        self._workers: list[SteppedWorker] = []

    def close(self) -> None:
        self._end_workers()
        self._engine.close()

    def restart(self, setting: Setting, processes: int = 1) -> None:
        """End all workers and start others with a setting."""
        self._end_workers()
        self._engine.processes = processes
        self._workers = [
            self._engine.start(setting.registrar, index=index, keep_empty=setting.keep_empty)
            for index in range(processes)
        ]

    def _end_workers(self) -> None:
        for worker in self._workers:
            worker.stop()

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
        offset = self._engine.send(task(eid, *points, etype=etype, delete=delete))
        appended = self._engine.append_time(offset)
        self.wait(APPEND_US)
        return appended

    def run(self) -> Run:
        """A snapshot run from its beginning to its end, while nothing is read from the log."""
        begun = self.begin_run()
        self.finish_run()
        run = self.last_run()
        assert run.id == begun.id
        assert run.status == "complete", run
        return run

    def begin_run(self) -> Run:
        run = self._workers[-1].request_run()
        assert run is not None
        return run

    def finish_run(self) -> None:
        for _ in range(MOST_STEPS):
            if self.store.runs.open() is None:
                return
            for worker in self._workers:
                worker.go_on_with_run()
        raise AssertionError("the run does not end")

    def last_run(self) -> Run:
        return self.store.runs.last(1)[0]

    def last_complete(self) -> int | None:
        """When the newest complete run was."""
        complete = (run.time for run in self.store.runs.last(1_000) if run.status == "complete")
        return next(complete, None)

    def go_on_slowly(self, worker: int = 0, pieces: int = 1) -> None:
        """One worker goes on with the open run by so many of the smallest pieces that there are."""
        with short_slices():
            for _ in range(pieces):
                self._workers[worker % len(self._workers)].go_on_with_run()

    def begin_packing(self) -> None:
        """From now on workers pack history when they have nothing else to do."""
        for worker in self._workers:
            worker.request_upkeep()

    def begin_cleaning(self, before_us: int) -> None:
        """From now on runs before a moment are to go."""
        self.store.cleaning.raise_horizon(self._workers[-1].lease, before_us, LAST_US)

    def clean_slowly(self, workers: Iterable[int]) -> None:
        """Go on with cleaning by the smallest slices that there are, each by the worker named."""
        with smallest_removals():
            for index in workers:
                self.store.cleaning.clean(self._workers[index % len(self._workers)].lease, 1)

    def finish_cleaning(self) -> None:
        for worker in self._workers:
            while self.store.cleaning.clean(worker.lease, 1_000).more:
                pass

    def run_times(self) -> list[int]:
        """Of all runs that are shown."""
        return [run.time for run in self.store.runs.between(FIRST_TIME, LAST_TIME)]

    def drain(self) -> list[Entry]:
        """Bring the tasks of hooks to the log; returns what came to it."""
        before = self.log.head(Lane.DERIVED).offset
        for worker in self._workers:
            while worker.drain():
                pass
        self.wait(APPEND_US)
        return self.log.read(Lane.DERIVED, before, 1 << 24)

    def process(self) -> None:
        """Let the workers do everything that waits, and what they leave in the log for each other."""
        while any(worker.step() for worker in self._workers) or self.drain():
            pass

    def take_in(self) -> None:
        """Let the workers read all that is in the log; a batch is followed by a piece of the run."""
        with short_slices():
            for worker in self._workers:
                while worker.is_behind():
                    worker.step()

    # -- what readers see ----------------------------------------------------------------------------
    def snapshots(self, etype: str, eid: int | str) -> list[tuple[int, Doc]]:
        """(run time, snapshot) of all runs that saw the entity, from the rows that were stored."""
        rows = self.store.snapshots.of(etype, str(eid))
        if not rows:
            return []
        runs = self.store.runs.between(FIRST_TIME, LAST_TIME)
        covered = self.store.runs.covered(rows[0].entity, [run.id for run in runs])
        seen = [run for run in runs if run.id in covered and run.id >= rows[0].run]
        return [(run.time, expand(decode_doc(_row_at(rows, run)), run.time)) for run in seen]

    def shown(self, run: Run) -> dict[tuple[str, str], Doc]:
        """The snapshots of a run that is over, by entity type and id."""
        everyone = [(etype, str(eid)) for etype, eids in EIDS.items() for eid in eids]
        found = {ref: dict(self.snapshots(*ref)).get(run.time) for ref in everyone}
        return {ref: doc for ref, doc in found.items() if doc is not None}

    def latest(self, etype: str, where: Where = EVERYTHING) -> dict[str, tuple[int, Doc]]:
        """(run time, snapshot) of all entities for which a condition holds, by id."""
        found = self.store.queries.find(etype, where, limit=None)
        return {row.eid: (row.run_time, expand(decode_doc(row.doc), row.run_time)) for row in found}

    def made_at(self, run_time: int) -> dict[tuple[str, str], Doc]:
        """The newest snapshots that are of a run at this time, by entity type and id."""
        found = {(etype, eid): at for etype in EIDS for eid, at in self.latest(etype).items()}
        return {ref: doc for ref, (time, doc) in found.items() if time == run_time}

    def distinct(self, etype: str, path: str) -> dict[Key, int]:
        return dict(self.store.queries.distinct(etype, path))


def _row_at(rows: Sequence[Any], run: Run) -> bytes:
    document: bytes = [row.doc for row in rows if row.run <= run.id][-1]
    return document
