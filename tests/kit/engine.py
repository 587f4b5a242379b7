"""An application in one process: real log, real state, and workers that run when a test tells them to."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from dp3.engine.jobs.snapshots.doc import decode_doc, expand
from dp3.hooks.registrar import CallbackRegistrar
from dp3.log.port import Lane
from dp3.model.spec import ModelSpec
from dp3.model.wire import WireTask
from dp3.reads.raw import RawQuery
from dp3.reads.reads import Reads
from dp3.store.ports.dead_letters import DeadLetter
from dp3.store.ports.leases import Lease
from dp3.store.ports.runs import Run, WorkerRun
from kit.place import Place
from kit.points import MODEL, SECOND, START_US, plain, seconds, task, tasks_in
from kit.specs import a_type, hourly, plain_attr, series_attr
from kit.worker import Options, PackLimits, SteppedWorker

Register = Callable[[CallbackRegistrar], None]
Hooks = Register | CallbackRegistrar
"""Registers hooks, or has registered them."""

SCHEDULED = Options(updates={"minute": "*/5"}, update_cleaning={"minute": 0}, collection={"minute": "*/10"})
"""Batches of periodic hooks every five minutes, old records of them removed every hour, and collections."""

STEPPED_RUNS = Options(threads=4, drains=True, limits=PackLimits(slice=2, row=3))


def no_hooks(registrar: CallbackRegistrar) -> None:
    """An application without hooks."""


class StoredDeadLetter(NamedTuple):
    """A dead letter and its id."""

    id: int
    letter: DeadLetter


class Engine(Place):
    """`defaults` are the settings of workers, `model` is that of readers and of workers that get no other;
    `processes` may be changed between workers. Hooks are registered by a module named `module`."""

    def __init__(
        self,
        directory: Path,
        model: ModelSpec = MODEL,
        defaults: Options = SCHEDULED,
        *,
        now_us: int = START_US + 1_000 * SECOND,
        module: str = "m",
        **place: Any,
    ) -> None:
        super().__init__(directory, now_us, **place)
        self.model = model
        self.processes = defaults.processes
        self._defaults = defaults
        self._module = module

    # -- workers ---------------------------------------------------------------------------------------
    def start(
        self,
        register: Hooks = no_hooks,
        *,
        model: ModelSpec | None = None,
        lease: Lease | None = None,
        **options: Any,
    ) -> SteppedWorker:
        """A worker that lives until it is stopped; `options` are those of `Options`. With `lease` it is
        another one beside the worker that has that."""
        if isinstance(register, CallbackRegistrar):
            registrar = register
        else:
            registrar = CallbackRegistrar(model or self.model).for_module(self._module)
            register(registrar)
        chosen = replace(self._defaults, **{"processes": self.processes, **options})
        return SteppedWorker(self, registrar, chosen, lease)

    @contextmanager
    def worker(self, register: Hooks = no_hooks, **options: Any) -> Iterator[SteppedWorker]:
        """A worker that lives while the block runs."""
        worker = self.start(register, **options)
        try:
            yield worker
        finally:
            worker.stop()

    def work(self, register: Register = no_hooks, **options: Any) -> None:
        """Let a worker process everything there is."""
        with self.worker(register, **options) as worker:
            worker.finish()

    def order(
        self, op: str, letter: StoredDeadLetter, register: Register = no_hooks, **options: Any
    ) -> dict[str, Any]:
        """Have the worker retry or drop a dead letter; returns what became of it."""
        message = self.store.control.send(0, "deadletters", {"op": op, "ids": [letter.id]})
        self.work(register, **options)
        result: dict[str, Any] = self.store.control.results([message])[message]["results"][str(letter.id)]
        return result

    # -- data ------------------------------------------------------------------------------------------
    def put(self, etype: str, eid: Any, **values: Any) -> None:
        """Send plain values."""
        self.send(task(eid, *(plain(attr, v) for attr, v in values.items()), etype=etype))

    def position(self, lane: Lane = Lane.MAIN) -> int:
        """The offset that all partitions have reached."""
        return min(offset for _, at, offset in self.store.batches.positions() if at == lane)

    def derived(self, after: int = 0) -> list[WireTask]:
        """Tasks that hooks returned and tasks of the system, as they came to the log."""
        return tasks_in(*self.log.read(Lane.DERIVED, after, 1 << 24))

    # -- what readers see ------------------------------------------------------------------------------
    def reads(self, model: ModelSpec | None = None, **of_snapshots: Any) -> Reads:
        return Reads(self.store, self.log, model or self.model, self.clock, **of_snapshots)

    def master(self, eid: str, etype: str = "a", model: ModelSpec | None = None) -> dict[str, Any]:
        return self.reads(model).profiles.master(etype, eid)

    def values(self, eid: str, etype: str = "a") -> dict[str, Any]:
        """Plain values by attribute; history of `o` as (second, value); without what is not there."""
        master = self.master(eid, etype)
        found: dict[str, Any] = {name: master[name]["v"] for name in ("p", "s") if name in master}
        if "o" in master:
            found["o"] = sorted((seconds(x["t1"]), x["v"]) for x in master["o"])
        return found

    def raw(self, etype: str, **query: Any) -> list[dict[str, Any]]:
        """The raw data-points of a type."""
        found: list[dict[str, Any]] = self.reads().raw.find(RawQuery(etype, **query))["data"]
        return found

    def raw_count(self, etype: str) -> int:
        return len(self.raw(etype))

    def letters(self) -> list[StoredDeadLetter]:
        return [StoredDeadLetter(*found) for found in self.store.dead_letters.page(0, 100)]

    def last_run(self) -> Run:
        return self.store.runs.last(1)[0]

    def progress(self, index: int = 0) -> WorkerRun:
        """How far a worker is in the last run."""
        rows = self.store.runs.workers(self.last_run().id)
        return next(row for row in rows if row.worker == index)

    def snapshots(self, etype: str, eid: str) -> list[dict[str, Any]]:
        """Every stored row of an entity, as of its run."""
        times = {run.id: run.time for run in self.store.runs.last(1_000)}
        rows = self.store.snapshots.of(etype, eid)
        return [expand(decode_doc(row.doc), times[row.run]) for row in rows]


RUNS_MODEL = ModelSpec(
    {
        "a": a_type("a", {"p": plain_attr(), "risk": plain_attr(), "peer": plain_attr("link<a>")}),
        "t": a_type(
            "t",
            {
                "p": plain_attr(),
                "level": hourly(),
                "levels": hourly(multi_value=True),
                "load": series_attr("irregular", series={"cpu": {"data_type": "int"}}),
            },
        ),
    }
)


@contextmanager
def an_engine(processes: int = 1, model: ModelSpec = RUNS_MODEL, **options: Any) -> Iterator[Engine]:
    """An application for snapshot runs: they have threads of their own, and begin when they are requested."""
    defaults = replace(STEPPED_RUNS, processes=processes, **options)
    with TemporaryDirectory() as directory:
        engine = Engine(Path(directory), model, defaults, now_us=START_US, partitions=4, module="test")
        try:
            yield engine
        finally:
            engine.close()
