"""Links that change while a run is at work: all workers divide it by the links that the first one saw."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from dp3.hooks.registrar import CallbackRegistrar
from dp3.model.partition import partition_of
from dp3.model.spec import ModelSpec
from dp3.store.ports.queries import OneOf
from dp3.store.ports.runs import Phase
from kit.engine import Engine, an_engine
from kit.limits import Enter, run_pages, short_slices
from kit.specs import a_type, plain_attr
from kit.worker import SteppedWorker, settle

MODEL = ModelSpec(
    {
        "host": a_type("host", {"net": plain_attr("link<net>"), "size": plain_attr("int")}),
        "net": a_type("net", {"p": plain_attr("int"), "mark": plain_attr("int")}),
    }
)


def eid_of(worker: int, etype: str, number: int = 0) -> str:
    eids = [eid for i in range(1_000) if partition_of(etype, eid := f"x{i}", 4) == worker]
    return eids[number]


HOST, NET = eid_of(0, "host"), eid_of(1, "net")
CALLS: list[str] = []


def size_of_net(etype: str, values: dict[str, Any]) -> None:
    CALLS.append(values["eid"])
    record = values.get("net", {}).get("record", {})
    values["size"] = record.get("p")
    record["mark"] = 1


def register(registrar: CallbackRegistrar) -> None:
    registrar.register_correlation_hook(size_of_net, "host", [["net", "p"]], [["size"], ["net", "mark"]])


class Some:
    def __init__(self, cluster: Engine) -> None:
        self.cluster = cluster
        self.workers: list[SteppedWorker] = []

    def start(self) -> None:
        for worker in self.workers:
            worker.stop()
        indexes = range(self.cluster.processes)
        self.workers = [self.cluster.start(register, index=index) for index in indexes]

    def put(self, etype: str, eid: str, **values: Any) -> None:
        """Taken in by all workers; no snapshot work is done meanwhile."""
        self.cluster.put(etype, eid, **values)
        for worker in self.workers:
            with worker.without_runs():
                for _ in range(20):
                    worker.step()

    def run(self) -> None:
        self.begin()
        self.finish()

    def begin(self) -> None:
        self.cluster.clock.advance(1)
        assert self.workers[0].request_run() is not None
        self.until_work(self.workers)

    def until_work(self, workers: Sequence[SteppedWorker]) -> None:
        while self.cluster.last_run().phase is not Phase.WORK:
            for worker in workers:
                worker.step()

    def work(self, worker: int) -> None:
        for _ in range(300):
            self.workers[worker].step()

    def finish(self) -> None:
        settle(*self.workers)
        assert self.cluster.last_run().status == "complete"

    def latest(self, etype: str, eid: str) -> dict[str, Any]:
        return self.cluster.snapshots(etype, eid)[-1]


@pytest.fixture(params=[1, 2])
def some(request: Any, enter: Enter) -> Iterator[Some]:
    enter(short_slices())
    with an_engine(request.param, MODEL, threads=1) as cluster:
        some = Some(cluster)
        some.start()
        yield some
        for worker in some.workers:
            worker.stop()


@pytest.mark.parametrize("some", [2], indirect=True)
def test_an_entity_that_is_linked_while_a_run_is_at_work_is_not_left_out(some: Some) -> None:
    some.put("net", NET, p=1)
    some.put("host", HOST, net={"eid": "other"})
    some.run()
    some.put("net", NET, p=2)
    some.begin()
    some.work(0)
    some.put("host", HOST, net={"eid": NET})
    some.finish()
    assert some.latest("net", NET)["p"] == 2
    some.put("host", HOST, net={"eid": "other"})
    some.run()
    assert some.latest("net", NET)["p"] == 2, "and not for ever"


@pytest.mark.parametrize("some", [2], indirect=True)
def test_an_entity_that_is_not_linked_any_more_while_a_run_is_at_work_is_made_once(some: Some) -> None:
    some.put("net", NET, p=1)
    some.put("host", HOST, net={"eid": NET})
    some.run()
    some.put("net", NET, p=2)
    some.begin()
    some.work(0)
    some.put("host", HOST, net={"eid": "other"})
    before = some.latest("net", NET)
    some.finish()
    assert some.latest("net", NET) == before, "written by the owner of the component only"


@pytest.mark.parametrize("some", [2], indirect=True)
def test_an_entity_that_comes_while_a_run_is_at_work_is_left_to_the_next_one(some: Some) -> None:
    some.put("host", HOST, net={"eid": NET})
    some.begin()
    some.work(0)
    some.put("net", NET, p=2)
    some.finish()
    assert some.cluster.snapshots("net", NET) == [], "nobody saw it together with what links to it"
    some.run()
    assert some.latest("net", NET) == {"eid": NET, "p": 2, "mark": 1}
    assert some.latest("host", HOST)["size"] == 2


@pytest.mark.parametrize("some", [1], indirect=True)
def test_a_worker_goes_on_after_a_restart_with_the_links_that_it_began_with(some: Some, enter: Enter) -> None:
    enter(run_pages(1, 1))
    pairs = [(f"h{i}", f"n{i}") for i in range(20)]
    for host, net in pairs:
        some.cluster.put("host", host, net={"eid": net})
        some.cluster.put("net", net, p=1)
    settle(*some.workers)
    some.run()
    for _, net in pairs:
        some.put("net", net, p=2)
    CALLS.clear()
    some.begin()
    while len(CALLS) < 8:
        some.workers[0].step()
    done = next(host for host, net in pairs if some.latest("net", net)["p"] == 2)
    left = next(net for host, net in reversed(pairs) if some.latest("net", net)["p"] == 1)
    some.start()
    some.put("host", done, net={"eid": left})
    some.finish()
    assert [net for _, net in pairs if some.latest("net", net)["p"] != 2] == []
    assert some.cluster.store.queries.count("net", OneOf("p", (1,))) == 0
