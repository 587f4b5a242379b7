"""Hooks of the ingestion that a snapshot run calls again after their flag was raised."""

from collections.abc import Callable
from typing import Any

from dp3.clock import to_datetime
from dp3.common.state import SharedFlag
from dp3.common.task import DataPointTask
from dp3.hooks.registrar import CallbackRegistrar
from dp3.model.spec import ModelSpec
from dp3.model.wire import WirePoint
from kit.engine import RUNS_MODEL, Engine
from kit.limits import Enter, short_slices
from kit.points import START_US, derived, task
from kit.specs import a_type, plain_attr
from kit.worker import SteppedWorker
from kit.worker import settle as settle_once

Register = Callable[[CallbackRegistrar], None]
Seen = list[Any]

HOUR_US = 3_600_000_000
ENTITIES = 30


def a_task(etype: str, eid: str, attr: str, v: Any) -> DataPointTask:
    return derived(eid, attr, v, etype, RUNS_MODEL)


class Module:
    """A module whose creation hook gives `risk` its configured value."""

    def __init__(self, risk: int = 1) -> None:
        self.refresh = SharedFlag()
        self.risk = risk
        self.calls: list[str] = []

    def register(self, registrar: CallbackRegistrar) -> None:
        registrar.register_on_entity_creation_hook(self.created, "a", self.refresh, [["risk"]])

    def created(self, eid: str, task: DataPointTask) -> list[DataPointTask]:
        self.calls.append(eid)
        return [a_task("a", eid, "risk", self.risk)]

    def configure(self, risk: int) -> None:
        self.risk = risk
        self.calls.clear()
        self.refresh.set()


def settle(*workers: SteppedWorker) -> None:
    """Until all derived tasks, too, have come through the log; a thread brings them there."""
    settle_once(*workers)
    while any(worker.has_tasks() or worker.is_behind() for worker in workers):
        settle_once(*workers)


def run(cluster: Engine, *workers: SteppedWorker) -> None:
    cluster.clock.advance(1)
    assert workers[0].request_run() is not None
    settle(*workers)


def current(cluster: Engine, eid: str, attr: str, etype: str = "a") -> Any:
    return cluster.snapshots(etype, eid)[-1].get(attr)


def entities(cluster: Engine, count: int = ENTITIES) -> list[str]:
    eids = [f"e{i}" for i in range(count)]
    for eid in eids:
        cluster.put("a", eid, p=1)
    return eids


# -- creation hooks ------------------------------------------------------------------------------------


def test_creation_hooks_of_all_entities_are_called_in_the_run_after_the_flag_was_raised(
    cluster: Engine,
) -> None:
    module = Module()
    worker = cluster.start(register=module.register)
    eids = entities(cluster)
    settle(worker)
    run(cluster, worker)
    module.configure(risk=2)
    run(cluster, worker)
    assert sorted(module.calls) == sorted(eids)
    assert {current(cluster, eid, "risk") for eid in eids} == {2}, "in the snapshots of that very run"
    assert not module.refresh.isset()
    worker.stop()


def test_without_a_raised_flag_a_run_calls_nothing_and_looks_at_nothing(cluster: Engine) -> None:
    module = Module()
    worker = cluster.start(register=module.register)
    entities(cluster)
    settle(worker)
    run(cluster, worker)
    module.configure(risk=2)
    run(cluster, worker)
    run(cluster, worker)  # sees the tasks of the one before
    module.calls.clear()
    run(cluster, worker)
    assert module.calls == []
    assert cluster.progress().entities == 0
    worker.stop()


def test_what_is_refreshed_comes_to_the_log_and_stays_in_later_snapshots(cluster: Engine) -> None:
    module = Module()
    worker = cluster.start(register=module.register)
    cluster.put("a", "x", p=1)
    settle(worker)
    module.configure(risk=2)
    run(cluster, worker)
    cluster.put("a", "x", p=2)
    settle(worker)
    run(cluster, worker)
    assert [(row["p"], row["risk"]) for row in cluster.snapshots("a", "x")] == [(1, 2), (2, 2)]
    worker.stop()


def test_the_hook_gets_the_typed_id_and_an_empty_task_of_the_entity(cluster: Engine) -> None:
    seen: Seen = []
    flag = SharedFlag(True)

    def created(eid: str, task: DataPointTask) -> None:
        seen.append((eid, task.etype, task.eid, task.data_points, task.delete))

    def register(registrar: CallbackRegistrar) -> None:
        registrar.register_on_entity_creation_hook(created, "a", flag, [])

    worker = cluster.start(register=register)
    cluster.put("a", "x", p=1)
    settle(worker)
    seen.clear()
    run(cluster, worker)
    assert seen == [("x", "a", "x", [], False)]
    worker.stop()


def test_values_that_change_by_time_are_found_after_a_refresh(cluster: Engine) -> None:
    """The entities of a refreshed type go back to those that only cost something when they change."""
    flag = SharedFlag()

    def register(registrar: CallbackRegistrar) -> None:
        registrar.register_on_entity_creation_hook(lambda eid, task: None, "t", flag, [])

    worker = cluster.start(register=register)
    cluster.send(task("x", WirePoint("level", 5, START_US, START_US, 10**9), etype="t"))
    settle(worker)
    flag.set()
    run(cluster, worker)
    run(cluster, worker)
    assert cluster.progress().entities == 0, "the second run has nothing to look at"
    assert current(cluster, "x", "level", "t") == 5
    cluster.clock.advance(7_200)
    run(cluster, worker)
    assert current(cluster, "x", "level", "t") is None
    worker.stop()


# -- attribute hooks -----------------------------------------------------------------------------------


def seen_by_attr_hook(cluster: Engine, attr: str, *points: WirePoint) -> Seen:
    """What a refreshed hook of an attribute of `t` is called with."""
    seen: Seen = []
    flag = SharedFlag()

    def register(registrar: CallbackRegistrar) -> None:
        registrar.register_on_new_attr_hook(lambda eid, dp: seen.append((eid, dp)), "t", attr, flag, [])

    worker = cluster.start(register=register)
    cluster.put("t", "without", **({"p": 1} if attr != "p" else {}))
    cluster.send(task("x", *points, etype="t"))
    settle(worker)
    flag.set()
    ingested = list(seen)
    seen.clear()
    run(cluster, worker)
    worker.stop()
    assert all(type(dp) is type(ingested[0][1]) for _, dp in seen), "as the ingestion passes it"
    return seen


def test_an_attribute_hook_gets_a_data_point_of_the_current_value(cluster: Engine) -> None:
    [(eid, dp)] = seen_by_attr_hook(cluster, "p", WirePoint("p", 7))
    assert (eid, dp.etype, dp.eid, dp.attr, dp.v, dp.t1, dp.t2) == ("x", "t", "x", "p", 7, None, None)


def test_an_observation_has_the_interval_and_the_confidence_of_the_winning_segment(cluster: Engine) -> None:
    older = WirePoint("level", 3, START_US - HOUR_US // 2, START_US - HOUR_US // 4, 10**9 // 4)
    [(eid, dp)] = seen_by_attr_hook(
        cluster, "level", older, WirePoint("level", 5, START_US - 100, START_US + HOUR_US, 10**9 // 2)
    )
    assert (eid, dp.v, dp.c) == ("x", 5, 0.5)
    assert (dp.t1, dp.t2) == (to_datetime(START_US - 100), to_datetime(START_US + HOUR_US))


def test_each_current_value_of_a_multi_valued_attribute_is_a_data_point(cluster: Engine) -> None:
    times = (START_US, START_US + HOUR_US, 10**9)
    seen = seen_by_attr_hook(
        cluster, "levels", WirePoint("levels", 1, *times), WirePoint("levels", 2, *times)
    )
    assert [(eid, dp.v) for eid, dp in seen] == [("x", 1), ("x", 2)]


def test_hooks_run_in_the_order_of_what_they_change_and_see_what_was_derived(cluster: Engine) -> None:
    """The hook of `p` feeds `risk`; that of `risk`, registered first, the correlation hook after both."""
    flag, calls, factor = SharedFlag(), [], [1]

    def of_risk(eid: str, dp: Any) -> None:
        calls.append(("risk", dp.v))

    def of_p(eid: str, dp: Any) -> list[DataPointTask]:
        calls.append(("p", dp.v))
        return [a_task("a", eid, "risk", dp.v * factor[0])]

    def correlate(etype: str, values: dict[str, Any]) -> None:
        calls.append(("values", values["risk"]))

    def register(registrar: CallbackRegistrar) -> None:
        registrar.register_correlation_hook(correlate, "a", [["risk"]], [])
        registrar.register_on_new_attr_hook(of_risk, "a", "risk", flag, [])
        registrar.register_on_new_attr_hook(of_p, "a", "p", flag, [["risk"]])

    worker = cluster.start(register=register)
    cluster.put("a", "x", p=4, risk=1)
    settle(worker)
    flag.set()
    factor[0] = 10
    calls.clear()
    run(cluster, worker)
    assert calls[0] == ("p", 4)
    assert sorted(calls[1:3]) == [("risk", 40), ("values", 40)]
    worker.stop()


# -- several hooks, linked entities, types without snapshots -------------------------------------------


def test_several_refreshed_hooks_of_one_type_all_work(cluster: Engine) -> None:
    flag = SharedFlag(True)

    def register(registrar: CallbackRegistrar) -> None:
        for number in (1, 2):
            registrar.register_on_entity_creation_hook(
                lambda eid, task, n=number: [a_task("a", f"{eid}-{n}", "p", n)], "t", flag, []
            )

    worker = cluster.start(register=register)
    cluster.put("t", "x", p=1)
    settle(worker)
    before = len(cluster.derived())
    run(cluster, worker)
    assert sorted(str(task.eid) for task in cluster.derived()[before:]) == ["x-1", "x-2"]
    worker.stop()


def test_linked_entities_see_each_others_refreshed_values(cluster: Engine) -> None:
    module = Module()

    def risk_of_peer(etype: str, values: dict[str, Any]) -> None:
        values["peer_risk"] = values.get("peer", {}).get("record", {}).get("risk")

    def register(registrar: CallbackRegistrar) -> None:
        registrar.register_correlation_hook(risk_of_peer, "a", [["peer", "risk"]], [])
        module.register(registrar)

    worker = cluster.start(register=register)
    cluster.put("a", "x", peer={"eid": "y"})
    cluster.put("a", "y", p=1)
    settle(worker)
    module.configure(risk=9)
    run(cluster, worker)
    assert current(cluster, "x", "peer_risk") == 9
    assert sorted(module.calls) == ["x", "y"]
    worker.stop()


def test_a_type_without_snapshots_is_refreshed_but_takes_no_other_part(cluster: Engine) -> None:
    registrar = CallbackRegistrar(ModelSpec({"u": a_type("u", {"p": plain_attr("int")}, snapshot=False)}))
    flag, calls = SharedFlag(), []
    registrar.register_correlation_hook(lambda etype, values: calls.append("correlation"), "u", [["p"]], [])
    registrar.register_on_entity_creation_hook(lambda eid, task: calls.append(eid), "u", flag, [])
    worker = cluster.start(registrar.for_module("test"))
    cluster.put("u", "x", p=1)
    settle(worker)
    flag.set()
    calls.clear()
    run(cluster, worker)
    assert calls == ["x"]
    assert cluster.snapshots("u", "x") == []
    worker.stop()


# -- the flag ------------------------------------------------------------------------------------------


def test_a_flag_that_is_raised_in_the_middle_of_a_run_is_honoured_by_the_next(cluster: Engine) -> None:
    module = Module()

    def again(eid: str, task: DataPointTask) -> list[DataPointTask]:
        if len(module.calls) == ENTITIES // 2 and module.refresh.isset():
            module.risk = 3
            module.refresh.set()
        return module.created(eid, task)

    def register(registrar: CallbackRegistrar) -> None:
        registrar.register_on_entity_creation_hook(again, "a", module.refresh, [["risk"]])

    worker = cluster.start(register=register)
    eids = entities(cluster)
    settle(worker)
    module.configure(risk=2)
    run(cluster, worker)
    assert {current(cluster, eid, "risk") for eid in eids} == {2, 3}
    assert module.refresh.isset()
    module.calls.clear()
    run(cluster, worker)
    assert {current(cluster, eid, "risk") for eid in eids} == {3}
    worker.stop()


def test_each_worker_has_its_own_flag(pair: Engine) -> None:
    modules = [Module(), Module()]
    workers = [pair.start(module.register, index=index) for index, module in enumerate(modules)]
    entities(pair)
    settle(*workers)
    modules[0].configure(risk=2)
    modules[1].calls.clear()
    run(pair, *workers)
    assert modules[0].calls and modules[1].calls == []
    assert not modules[0].refresh.isset()
    for worker in workers:
        worker.stop()


def test_a_run_that_was_interrupted_goes_on_refreshing_after_a_restart(cluster: Engine, enter: Enter) -> None:
    """The new process does not know that the flag was raised; what it has loaded is the new configuration."""
    first, second = Module(), Module(risk=2)
    worker = cluster.start(register=first.register)
    eids = entities(cluster, 250)
    settle(worker)
    first.configure(risk=2)
    enter(short_slices())
    cluster.clock.advance(1)
    worker.request_run()
    while not first.calls:
        worker.step()
    worker.stop()
    worker = cluster.start(register=second.register)
    settle(worker)
    assert {current(cluster, eid, "risk") for eid in eids} == {2}
    assert set(first.calls) | set(second.calls) == set(eids)
    assert cluster.last_run().status == "complete"
    worker.stop()


def test_a_failed_refresh_is_a_dead_letter_that_can_be_tried_again(cluster: Engine) -> None:
    flag, broken = SharedFlag(), [False]

    def of_p(eid: str, dp: Any) -> list[DataPointTask]:
        if broken[0]:
            raise RuntimeError("no answer")
        return [a_task("t", f"{eid}-{dp.v}", "p", 0)]

    def register(registrar: CallbackRegistrar) -> None:
        registrar.register_on_new_attr_hook(of_p, "a", "p", flag, [])

    worker = cluster.start(register=register)
    cluster.put("a", "x", p=7)
    settle(worker)
    flag.set()
    broken[0] = True
    run(cluster, worker)
    [(id_, letter)] = cluster.store.dead_letters.page(0, 10)
    assert (letter.kind, letter.eid) == ("hook", "x")
    broken[0] = False
    message = cluster.store.control.send(0, "deadletters", {"op": "retry", "ids": [id_]})
    settle(worker)
    assert cluster.store.control.results([message])[message]["results"][str(id_)] == {"done": True}
    assert cluster.store.dead_letters.page(0, 10) == []
    worker.stop()
