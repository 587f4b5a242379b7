"""The same things happen to an application with lifetimes and to its naive model."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from naive_lives import DAY, HOUR, MODEL, NaiveLives, Ref

from dp3.model.partition import partition_of
from dp3.model.wire import CONFIDENCE_UNIT, WirePoint, WireTask, decode_value
from kit.engine import Engine
from kit.limits import small_lifetime_slices
from kit.place import PARTITIONS
from kit.worker import SteppedWorker

MS = 1_000
COLLECTION = {"hour": 3, "minute": 0}
EVERYBODY = [(etype, f"{etype}{number}") for etype in MODEL.entities for number in range(3)]


@contextmanager
def lives(processes: int = 1) -> Iterator["Lives"]:
    with TemporaryDirectory() as directory, small_lifetime_slices():
        both = Lives(Path(directory))
        try:
            both.start(processes)
            yield both
        finally:
            both.close()


def point(attr: str, value: Any, end: int) -> WirePoint:
    """A plain value, or one that holds for the hour until `end` (µs)."""
    kind = next(spec.type for (_, name), spec in MODEL.attributes.items() if name == attr)
    if kind == "plain":
        return WirePoint(attr, value)
    return WirePoint(attr, value, end - HOUR, end, CONFIDENCE_UNIT if kind == "observations" else None)


class Lives:
    """`start` comes first. What was sent is processed by the next deletion or waiting."""

    def __init__(self, directory: Path) -> None:
        self.engine = Engine(directory, MODEL)
        self.naive = NaiveLives()
        self.processes = 0
        self._stack = ExitStack()
        self.workers: list[SteppedWorker] = []
        self._begun: dict[int, int] = {}
        self._next: dict[int, int] = {}

    # -- workers ---------------------------------------------------------------------------------------
    def start(self, processes: int) -> None:
        self.processes = processes
        options: Any = {"processes": processes, "collection": COLLECTION}
        self.workers = [
            self._stack.enter_context(self.engine.worker(index=index, **options))
            for index in range(processes)
        ]
        for index in range(processes):
            self._next[index] = tick_after(self._begun.get(index, self.now))

    def end(self) -> None:
        self._stack.close()

    def close(self) -> None:
        self.end()
        self.engine.close()

    def settle(self) -> None:
        """Let the workers do everything; what they have for each other reaches the log when all are idle."""
        busy = True
        while busy:
            self.work()
            busy = any(worker.drain() for worker in self.workers)
            self.engine.clock.advance(0.001)

    def work(self) -> None:
        """Let the workers do everything but bring tasks to the log."""
        while any(worker.step() for worker in self.workers):
            pass

    # -- what happens ----------------------------------------------------------------------------------
    @property
    def now(self) -> int:
        return self.engine.clock.now_us()

    def put(self, ref: Ref, attr: str, value: Any, end: int = 0) -> None:
        """A data-point; `end` in hours from now is when its interval ends."""
        until = (self.now // HOUR + end) * HOUR + 7_000_000
        moment = self.send(ref, points=[point(attr, value, until)])
        self.naive.put(ref, attr, value, until, moment)

    def token(self, ref: Ref, name: str, hours: int) -> None:
        until = self.now + hours * HOUR
        self.naive.token(ref, name, until, self.send(ref, ttl_tokens={name: until}))

    def delete(self, ref: Ref) -> None:
        self.settle()
        self.naive.delete([ref], self.send(ref, delete=True))
        self.settle()

    def wait(self, hours: int, steps: int | None = None) -> None:
        """Time passes, and if a collection is due it is held; with `steps` all workers end after so many
        steps of it, and others go on (a worker that has never held one does not know that it is late)."""
        self.settle()
        self.engine.clock.advance(hours * 3600)
        remembered = self._begun.keys() >= set(range(self.processes))
        self._collect()
        if steps is not None and remembered:
            for number in range(steps):
                self.workers[number % self.processes].step()
            self.end()
            self.start(self.processes)
        self.settle()

    def restart(self, processes: int, away: int = 0) -> None:
        """All workers end; after some hours so many begin."""
        self.settle()
        self.end()
        self.engine.clock.advance(away * 3600)
        self.start(processes)
        self._collect()
        self.settle()

    def lose_state(self) -> None:
        """All is read from the log again."""
        self.settle()
        self.end()
        self.engine.lose_state()
        self._begun.clear()
        for life in self.naive.lives.values():
            life.unreferenced = False
        self.start(self.processes)
        self.settle()

    def send(self, ref: Ref, points: list[WirePoint] | None = None, **more: Any) -> int:
        """Returns the append time."""
        offset = self.engine.send(WireTask(ref[0], ref[1], points or [], **more))
        moment = self.engine.append_time(offset)
        self.engine.clock.advance(0.001)
        return moment

    def _owner(self, ref: Ref) -> int:
        return partition_of(ref[0], ref[1], PARTITIONS) % self.processes

    def _collect(self) -> None:
        due = {index for index in range(self.processes) if self.now >= self._next[index]}
        if due:
            self.naive.collect(
                lambda ref: partition_of(ref[0], ref[1], PARTITIONS) % self.processes in due, self.now
            )
        for index in due:
            self._begun[index], self._next[index] = self.now, tick_after(self.now)

    # -- what is known ---------------------------------------------------------------------------------
    def compare(self) -> None:
        """Everything is as the naive model says, and nothing is left to be done."""
        for ref in EVERYBODY:
            assert self.shown(ref) == self.expected(ref), ref
        counted = {etype: n for etype, n in self.engine.store.entities.counts().items() if n}
        assert counted == Counter(etype for etype, _ in self.naive.lives)
        assert self.engine.count("tombstone") == 0
        assert self.engine.letters() == []

    def shown(self, ref: Ref) -> dict[str, Any] | None:
        store = self.engine.store
        rows = store.entities.profile(*ref)
        if rows is None:
            return None
        names = {store.names.attr_id(ref[0], name): name for name in MODEL.attribs(ref[0])}
        return {
            "plain": {names[row.attr]: decode_value(row.v) for row in rows.plain},
            "history": sorted((names[r.attr], r.t1, r.t2, str(decode_value(r.v))) for r in rows.history),
            "tokens": {name: until for name, until in rows.ttl.items() if until >= self.now},
        }

    def expected(self, ref: Ref) -> dict[str, Any] | None:
        life = self.naive.lives.get(ref)
        if life is None:
            return None
        return {
            "plain": life.plain,
            "history": sorted((attr, t1, t2, str(value)) for attr, t1, t2, value in life.history),
            "tokens": {name: until for name, until in life.tokens.items() if until >= self.now},
        }


def tick_after(us: int) -> int:
    """The first time of a collection after a moment."""
    today = us // DAY * DAY + 3 * HOUR
    return today if today > us else today + DAY
