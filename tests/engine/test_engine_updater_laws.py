"""Periodic hooks over long times, with everything that may happen to entities and workers."""

from collections import Counter
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dp3.hooks.registrar import CallbackRegistrar
from dp3.model.partition import partition_of
from dp3.model.task import DataPointTask
from dp3.store.ports.updates import UpdateGroup, UpdateProgress
from kit.engine import Engine
from kit.limits import update_pages
from kit.place import PARTITIONS
from kit.points import MODEL, SECOND, delete, plain, task
from kit.rooms import examples
from kit.worker import SteppedWorker

TICK_S = 300

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("batches"), st.integers(1, 5)),
        st.tuples(st.just("create"), st.integers(1, 40)),
        st.tuples(st.just("delete"), st.integers(0, 200)),
        st.tuples(st.just("away"), st.integers(1, 4)),
        st.tuples(st.just("workers"), st.integers(1, 3)),
        st.tuples(st.just("crash"), st.integers(1, 8)),
    ),
    min_size=5,
    max_size=25,
)


class World:
    """An application with a periodic hook that lives through steps, and what is known of its entities."""

    def __init__(self, directory: Path, batches: int) -> None:
        self.engine = Engine(directory)
        self.batches = batches
        self.group = UpdateGroup(
            "periodic_eid_update", self.engine.store.names.etype_id("a"), batches * TICK_S * SECOND
        )
        self.created: dict[str, int] = {}
        self.deleted: dict[str, int] = {}
        self.cycles: dict[int, set[int]] = {partition: set() for partition in range(PARTITIONS)}
        self._stack = ExitStack()
        self._workers: list[SteppedWorker] = []
        self.workers(1)

    def progress(self, partition: int) -> UpdateProgress:
        return self.engine.store.updates.progress(self.group)[partition]

    def _register(self, registrar: CallbackRegistrar) -> None:
        def hook(etype: str, eid: str) -> list[DataPointTask]:
            """Leaves a trace of the entity and the cycle."""
            trace = f"{eid} {self.progress(partition_of(etype, eid, PARTITIONS)).begun}"
            point = {"etype": "b", "eid": trace, "attr": "p", "v": 1}
            return [DataPointTask(model_spec=MODEL, etype="b", eid=trace, data_points=[point])]

        registrar.register_periodic_eid_update_hook(hook, "trace", "a", f"{5 * self.batches}m")

    def traces(self) -> Counter[tuple[str, int]]:
        """(entity, beginning of the cycle) for all visits that had an effect."""
        found = (str(task.eid).split() for task in self.engine.derived())
        return Counter((eid, int(begun)) for eid, begun in found)

    # -- steps -----------------------------------------------------------------------------------------
    def workers(self, processes: int) -> None:
        self._stack.close()
        self._workers = [
            self._stack.enter_context(
                self.engine.worker(self._register, index=index, processes=processes, threads=2)
            )
            for index in range(processes)
        ]

    def _finish(self) -> None:
        for worker in self._workers:
            worker.finish()
        for partition, row in self.engine.store.updates.progress(self.group).items():
            self.cycles[partition].add(row.begun)

    def _come_due(self) -> None:
        now = self.engine.clock.now_us()
        self.engine.clock.advance(TICK_S - now // SECOND % TICK_S)

    def batches_(self, number: int) -> None:
        for _ in range(number):
            self._come_due()
            self._finish()

    def create(self, number: int) -> None:
        first = len(self.created)
        self._finish()
        self.created |= {f"e{n}": self.engine.clock.now_us() for n in range(first, first + number)}
        self.engine.send(*(task(f"e{n}", plain("p", 1)) for n in range(first, first + number)))
        self._finish()

    def delete(self, number: int) -> None:
        alive = [eid for eid in self.created if eid not in self.deleted]
        for eid in alive[number::7]:
            self.deleted[eid] = self.engine.clock.now_us()
            self.engine.send(delete(eid))
        self._finish()

    def away(self, ticks: int) -> None:
        processes = len(self._workers)
        self._stack.close()
        self.engine.clock.advance(ticks * TICK_S)
        self.workers(processes)

    def crash(self, steps: int) -> None:
        """The workers end in the middle of a batch, and begin again."""
        self._come_due()
        for worker in self._workers:
            for _ in range(steps):
                worker.step()
        self.workers(len(self._workers))
        self._finish()

    def close(self) -> None:
        self._stack.close()
        self.engine.close()

    # -- laws ------------------------------------------------------------------------------------------
    def shortest_cycle_s(self) -> float:
        lengths = [b - a for cycles in self.cycles.values() for a, b in pairwise(sorted(cycles))]
        return min(lengths) / SECOND

    def missing(self, traces: Counter[tuple[str, int]]) -> list[Any]:
        """Entities that existed throughout a complete cycle of their partition and were not visited in it."""
        found = []
        for eid, created in self.created.items():
            cycles = sorted(self.cycles[partition_of("a", eid, PARTITIONS)])
            for begun, following in pairwise(cycles):
                there = created < begun and self.deleted.get(eid, following) >= following
                if there and (eid, begun) not in traces:
                    found.append((eid, begun))
        return found


@settings(deadline=None, max_examples=examples(25))
@given(STEPS, st.integers(1, 6))
def test_whatever_happens_every_entity_is_visited_once_in_a_cycle(
    steps: list[tuple[str, int]], batches: int
) -> None:
    with TemporaryDirectory() as directory, update_pages(3, 5):
        world = World(Path(directory), batches)
        try:
            for name, number in steps:
                getattr(world, "batches_" if name == "batches" else name)(number)
            world.batches_(2 * batches)
            traces = world.traces()
            assert [visit for visit, times in traces.items() if times > 1] == []
            assert world.missing(traces) == []
            assert world.shortest_cycle_s() >= batches * TICK_S
            assert not any(row.open for row in world.engine.store.updates.progress(world.group).values())
        finally:
            world.close()
