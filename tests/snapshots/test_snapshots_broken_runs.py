"""Runs that are cut short, and what they leave to the next ones."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from application import Application, an_application
from sample_settings import Setting

from dp3.hooks.registrar import CallbackRegistrar
from dp3.model.partition import partition_of
from dp3.model.spec import ModelSpec
from dp3.model.wire import WirePoint
from dp3.store.ports.runs import Phase
from kit.engine import Engine, an_engine
from kit.faults import broken_linked_work, broken_values
from kit.limits import Enter, runs_are_retried_at_once, short_slices
from kit.specs import a_type, observed_attr, plain_attr, valid
from kit.worker import SteppedWorker, settle


def a_setting(*, snapshot: bool) -> Setting:
    model = ModelSpec({"a": a_type("a", {"p": plain_attr("int")}, snapshot=snapshot)})
    return Setting(model, CallbackRegistrar(model))


@pytest.fixture
def app() -> Iterator[Application]:
    with an_application() as application:
        yield application


def test_a_type_loses_its_snapshots_though_the_first_run_without_them_was_cut_short(app: Application) -> None:
    app.restart(a_setting(snapshot=True))
    app.send("a", "a1", WirePoint("p", 1))
    app.process()
    app.run()
    app.restart(a_setting(snapshot=False))
    app.begin_run()
    app.restart(a_setting(snapshot=False), processes=2)
    app.finish_run()
    assert app.last_run().status.startswith("partial: it was begun by 1 workers")
    app.run()
    assert app.latest("a") == {}


# -- two workers, and a component that both have a part of ---------------------------------------------

MODEL = ModelSpec(
    {
        "host": a_type("host", {"net": plain_attr("link<net>"), "size": plain_attr("int")}),
        "net": a_type("net", {"p": plain_attr("int")}),
    }
)


def eid_of(worker: int, etype: str) -> str:
    """Of some partition of the worker; that of worker 0 gets the smaller key."""
    eids = (f"x{i}" for i in range(1_000))
    return next(eid for eid in eids if partition_of(etype, eid, 4) == worker)


HOST, NET = eid_of(0, "host"), eid_of(1, "net")


def size_of_net(etype: str, values: dict[str, Any]) -> None:
    values["size"] = values.get("net", {}).get("record", {}).get("p")


def nothing(etype: str, values: dict[str, Any]) -> None:
    pass


class Two:
    """Two workers; the component of HOST and NET belongs to worker 0, NET itself to worker 1."""

    def __init__(self, cluster: Engine) -> None:
        self.cluster = cluster
        self.workers: Sequence[SteppedWorker] = ()

    def start(self, hook: Callable[[str, dict[str, Any]], None] = size_of_net) -> None:
        for worker in self.workers:
            worker.stop()

        def register(registrar: CallbackRegistrar) -> None:
            registrar.register_correlation_hook(hook, "host", [["net", "p"]], [["size"]])

        self.workers = [self.cluster.start(register, index=index) for index in range(2)]

    def put(self, etype: str, eid: str, **values: Any) -> None:
        self.cluster.put(etype, eid, **values)
        self.settle()

    def settle(self) -> None:
        settle(*self.workers)

    def run(self) -> None:
        self.begin()
        self.settle()
        assert self.cluster.last_run().status == "complete"

    def begin(self) -> None:
        self.cluster.clock.advance(1)
        assert self.workers[0].request_run() is not None

    def work(self, worker: int) -> None:
        """One worker does its part of the work, the other one nothing."""
        self._until(lambda: self.cluster.last_run().phase is Phase.WORK, self.workers)
        self._until(lambda: self._has_worked(worker), [self.workers[worker]])

    def _has_worked(self, worker: int) -> bool:
        rows = self.cluster.store.runs.workers(self.cluster.last_run().id)
        return any(row.worker == worker and row.done == "work" for row in rows)

    def _until(self, condition: Callable[[], bool], workers: Sequence[SteppedWorker]) -> None:
        for _ in range(2_000):
            if condition():
                return
            for worker in workers:
                worker.step()
        raise AssertionError("it does not happen")

    def lose(self, worker: int) -> None:
        """A worker is away for so long that the run ends without it; then all begin again."""
        self.go_on_with(self.workers[1 - worker])
        self.start()

    def go_on_with(self, *others: SteppedWorker) -> None:
        """Nothing is heard of any other worker for a minute, so the run goes on and ends without it."""
        self.cluster.clock.advance(61)
        for other in others:
            self.cluster.store.leases.heartbeat(other.lease, "working")
        self._until(lambda: self.cluster.store.runs.open() is None, others)

    def seen_by(self, run: int, etype: str, eid: str) -> bool:
        rows = self.cluster.store.snapshots.of(etype, eid)
        return bool(self.cluster.store.runs.covered(rows[0].entity, [run]))

    def latest(self, etype: str, eid: str) -> dict[str, Any]:
        return self.cluster.snapshots(etype, eid)[-1]


@pytest.fixture
def two(enter: Enter) -> Iterator[Two]:
    enter(short_slices())
    enter(runs_are_retried_at_once())
    with an_engine(2, MODEL, threads=1) as cluster:
        two = Two(cluster)
        two.start()
        two.put("net", NET, p=1)
        two.put("host", HOST, net={"eid": NET})
        two.run()
        yield two
        for worker in two.workers:
            worker.stop()


def test_a_run_that_was_cut_short_shows_nothing_of_what_it_left_to_others(two: Two) -> None:
    two.put("net", NET, p=2)
    two.begin()
    two.work(1)
    two.start(nothing)
    two.settle()
    run = two.cluster.last_run()
    assert run.status == "partial: the model or the hooks have changed since it was begun"
    assert not two.seen_by(run.id, "net", NET)
    two.run()
    assert two.latest("net", NET)["p"] == 2


def test_linked_entities_of_a_worker_that_gave_up_have_no_snapshot(two: Two) -> None:
    two.put("net", NET, p=2)
    with broken_linked_work(two.workers[0].lease):
        two.begin()
        two.settle()
    run = two.cluster.last_run()
    assert run.status == "partial: failures in worker 0, see its log"
    assert not two.seen_by(run.id, "net", NET)
    two.run()
    assert two.latest("net", NET)["p"] == 2


def test_what_a_lost_worker_should_have_made_is_looked_at_though_it_is_not_linked_any_more(two: Two) -> None:
    two.put("host", HOST, net={"eid": "other"})
    two.run()
    two.put("net", NET, p=2)
    two.put("host", HOST, net={"eid": NET})
    two.begin()
    two.work(1)
    two.lose(0)
    assert not two.seen_by(two.cluster.last_run().id, "net", NET)
    two.put("host", HOST, net={"eid": "other"})
    two.run()
    assert two.latest("net", NET)["p"] == 2


def test_a_worker_that_was_given_up_does_not_go_on_with_the_run_when_it_comes_back(two: Two) -> None:
    two.put("net", NET, p=2)
    two.begin()
    two.work(1)
    slow, other = two.workers
    for _ in range(2):
        slow.step()
    two.go_on_with(other)
    run = two.cluster.last_run()
    assert run.status == "partial: no sign of life of worker 0"
    two.cluster.store.leases.heartbeat(slow.lease, "working")
    two.settle()
    assert run.id not in [row.run for row in two.cluster.store.snapshots.of("host", HOST)]
    two.run()
    assert two.latest("host", HOST)["size"] == 2


# -- entities without a snapshot in a run ----------------------------------------------------------------


def test_an_entity_that_could_not_be_processed_is_looked_at_in_the_next_run(two: Two) -> None:
    two.put("net", "n1", p=1)
    two.run()
    two.put("net", "n1", p=2)
    with broken_values("n1"):
        two.run()
    assert not two.seen_by(two.cluster.last_run().id, "net", "n1")
    two.run()
    assert two.latest("net", "n1")["p"] == 2


def test_an_empty_entity_has_a_snapshot_as_soon_as_it_is_not_linked(app: Application) -> None:
    expired = WirePoint("seen", 1, 0, 0, 1_000_000_000)
    model = ModelSpec(
        {
            "host": a_type("host", {"net": plain_attr("link<net>")}),
            "net": a_type("net", {"p": plain_attr("int"), "seen": observed_attr("int", valid(0, 0))}),
        }
    )
    registrar = CallbackRegistrar(model).for_module("test")
    registrar.register_correlation_hook(nothing, "host", [["net", "p"]], [])
    app.restart(Setting(model, registrar, keep_empty=False))
    app.run()
    app.send("net", "n1", expired)
    app.send("host", "h1", WirePoint("net", {"eid": "n1"}))
    app.process()
    app.run()
    assert app.latest("net") == {}
    app.send("host", "h1", WirePoint("net", {"eid": "n2"}))
    app.process()
    run = app.run()
    assert app.latest("net") == {"n1": (run.time, {"eid": "n1"})}
