"""A worker with a real log and a real state, driven step by step in the test's own thread."""

import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dp3.clock import FakeClock, to_us
from dp3.engine.assembly import Means, WorkerSettings, worker_parts
from dp3.engine.attempts import Attempts
from dp3.engine.compaction import PackLimits
from dp3.engine.history_work import HistorySettings, HistoryWork
from dp3.engine.outbox import OutboxDrainer
from dp3.engine.profiles import ProfileReader, Span
from dp3.engine.seat import Seat
from dp3.engine.snapshots.cleaning import CleaningSettings
from dp3.engine.snapshots.setup import SnapshotSettings
from dp3.engine.statistics import Statistics
from dp3.engine.updater.work import UpdateSettings
from dp3.engine.waves import WaveLimits
from dp3.engine.worker import Worker
from dp3.hooks.guard import Guard
from dp3.hooks.pool import DaemonPool
from dp3.hooks.registrar import CallbackRegistrar
from dp3.hooks.watch import HookWatch
from dp3.http.raw import RawQuery, find_raw
from dp3.log.port import Append, Lane
from dp3.log.segments import open_log
from dp3.model.partition import partition_of
from dp3.model.spec import ModelSpec
from dp3.model.task import DataPointTask
from dp3.model.wire import CONFIDENCE_UNIT, WirePoint, WireTask, encode_tasks
from dp3.store.port import StoredDeadLetter
from dp3.store.sqlite import open_store

PARTITIONS = 8
START_US = 1_600_000_000_000_000
SECOND = 1_000_000
NEVER = {"year": 2100}

Register = Callable[[CallbackRegistrar], None]


def _entity(etype: str, attribs: Mapping[str, Any]) -> dict[str, Any]:
    return {"entity": {"id": etype, "name": etype, "snapshot": True}, "attribs": dict(attribs)}


def _observations() -> dict[str, Any]:
    return {"name": "x", "type": "observations", "data_type": "int", "history_params": {"aggregate": False}}


def config(*plain: str) -> dict[str, Any]:
    """Types `a` and `b`, each with observations `o` and these plain attributes (int)."""
    attribs: dict[str, Any] = {name: {"name": "x", "type": "plain", "data_type": "int"} for name in plain}
    return {etype: _entity(etype, attribs | {"o": _observations()}) for etype in ("a", "b")}


MODEL = ModelSpec(config("p", "s"))


def plain(attr: str, v: Any) -> WirePoint:
    return WirePoint(attr, v)


def obs(v: int, second: int | None = None) -> WirePoint:
    """An observation of `o`, by default at the second that is its value."""
    t1 = START_US + (v if second is None else second) * SECOND
    return WirePoint("o", v, t1, t1, CONFIDENCE_UNIT)


def task(eid: str, *points: WirePoint, etype: str = "a", **more: Any) -> WireTask:
    return WireTask(etype, eid, list(points), **more)


def delete(eid: str, etype: str = "a") -> WireTask:
    return task(eid, etype=etype, delete=True)


def derived(eid: str, attr: str, v: Any, etype: str = "a", model: ModelSpec = MODEL) -> DataPointTask:
    """What a hook returns: a task with one plain value."""
    point = {"etype": etype, "eid": eid, "attr": attr, "v": v}
    return DataPointTask(model_spec=model, etype=etype, eid=eid, data_points=[point])


def no_hooks(registrar: CallbackRegistrar) -> None:
    """An application without hooks."""


def seconds(moment: datetime) -> int:
    """Seconds since the start of the tests."""
    return (to_us(moment) - START_US) // SECOND


def update_settings(threads: int, minutes: int) -> UpdateSettings:
    """Batches of periodic hooks every five minutes, old records removed every hour."""
    period = timedelta(minutes=minutes)
    return UpdateSettings({"minute": "*/5"}, period, {"minute": 0}, cycles=3, threads=threads)


class Engine:
    """Log and state of one application, and workers that run when they are told to."""

    def __init__(self, directory: Path, **log_options: Any) -> None:
        self.directory = directory
        self.clock = FakeClock(START_US + 1_000 * SECOND)
        self.log = open_log(directory, self.clock, **log_options)
        self._open_state()

    def _open_state(self) -> None:
        self.store = open_store(self.directory / "state", self.clock, partitions=PARTITIONS)
        self.reader = ProfileReader(self.store, MODEL, self.clock)

    def close(self) -> None:
        self.store.close()
        self.log.close()

    def send(self, *tasks: WireTask) -> int:
        """Append one entry with these tasks, as the API does; returns its offset."""
        slices: dict[int, list[WireTask]] = {}
        first = 0
        for item in tasks:
            item.first = first
            first += item.width
            slices.setdefault(partition_of(item.etype, item.eid, PARTITIONS), []).append(item)
        encoded = {partition: encode_tasks(content) for partition, content in slices.items()}
        (appended,) = self.log.append([Append([encoded])])
        assert not isinstance(appended, ValueError)
        return appended.offset

    @contextmanager
    def worker(
        self,
        register: Register = no_hooks,
        *,
        index: int = 0,
        processes: int = 1,
        model: ModelSpec = MODEL,
        threads: int = 1,
        batch_s: float = 10.0,
        generations: int = 16,
        batch_minutes: int = 5,
        collection: Mapping[str, Any] = MappingProxyType({"minute": "*/10"}),
        cleaning: Mapping[str, Any] = MappingProxyType(NEVER),
        limits: PackLimits | None = None,
        statistics: Statistics | None = None,
    ) -> Iterator["Driven"]:
        """A worker that holds its lease while the block runs."""
        registrar = CallbackRegistrar(model)
        register(registrar.for_module("m"))
        lease = self.store.take_lease(index, processes, "host", 1, 15)
        settings = WorkerSettings(
            waves=WaveLimits(batch_s, threads),
            generations=generations,
            entities=1_000,
            snapshots=SnapshotSettings(cron=NEVER),
            cleaning=CleaningSettings(NEVER, 0),
            updates=update_settings(threads, batch_minutes),
            collection=collection,
            history=HistorySettings(NEVER, cleaning, limits or PackLimits()),
        )
        executor = DaemonPool(threads, "hooks")
        means = Means(
            guard=Guard(HookWatch(10, 60), 100),
            executor=executor,
            io=executor,
            attempts=Attempts(self.directory / "run" / f"{index}.attempt"),
            outbox=OutboxDrainer(self.log, self.store, lease),
            refresh_module=lambda name: {},
            statistics=statistics or Statistics(),
        )
        seat = Seat(self.log, self.store, self.clock, lease)
        parts = worker_parts(seat, settings, model, registrar.registrations, means)
        try:
            yield Driven(Worker(parts, threading.Event()), parts.outbox, parts.history)
        finally:
            parts.attempts.close()
            self.store.release_lease(lease)

    def work(self, register: Register = no_hooks, **options: Any) -> None:
        """Let a worker process everything there is."""
        with self.worker(register, **options) as driven:
            driven.finish()

    def go_back(self, offset: int = 0) -> None:
        """Set all positions back, as after a power loss."""
        import apsw

        state = apsw.Connection(str(self.directory / "state" / "state.db"))
        state.execute("UPDATE position SET offset = min(offset, ?)", (offset,))
        state.close()

    def lose_state(self) -> None:
        """The state falls back to its beginning, the log stays: a power loss at its worst."""
        self.store.close()
        shutil.rmtree(self.directory / "state")
        self._open_state()

    def raw_count(self, etype: str) -> int:
        """How many raw data-points of a type are listed."""
        return len(find_raw(self.log, self.store, RawQuery(etype))["data"])

    def position(self, lane: Lane = Lane.MAIN) -> int:
        """The offset that all partitions have reached."""
        return min(offset for _, at, offset in self.store.positions() if at == lane)

    def master(self, eid: str, etype: str = "a") -> dict[str, Any]:
        return self.reader.master(etype, eid, Span())

    def values(self, eid: str, etype: str = "a") -> dict[str, Any]:
        """Plain values by attribute; history of `o` as (second, value); without what is not there."""
        master = self.master(eid, etype)
        found = {name: master[name]["v"] for name in ("p", "s") if name in master}
        if "o" in master:
            found["o"] = sorted((seconds(x["t1"]), x["v"]) for x in master["o"])
        return found

    def letters(self) -> list[StoredDeadLetter]:
        return self.store.dead_letters(0, 100)

    def order(
        self, op: str, letter: StoredDeadLetter, register: Register = no_hooks, **options: Any
    ) -> dict[str, Any]:
        """Have the worker retry or drop a dead letter; returns what became of it."""
        message = self.store.send_control(0, "deadletters", {"op": op, "ids": [letter.id]})
        self.work(register, **options)
        result: dict[str, Any] = self.store.control_result([message])[message]["results"][str(letter.id)]
        return result


class Driven:
    """A worker and its outbox, taking turns in one thread."""

    def __init__(self, worker: Worker, outbox: OutboxDrainer, history: HistoryWork) -> None:
        self.history = history
        self.step = worker.step
        self.drain = outbox.drain_some

    def finish(self) -> None:
        """Until there is nothing to do."""
        while self.step() or self.drain():
            pass
