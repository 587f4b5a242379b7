"""The life of runs: brackets, several workers, crashes, failures."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from dp3.clock import to_datetime
from dp3.common.task import DataPointTask
from dp3.hooks.registrar import CallbackRegistrar
from dp3.log.port import Lane
from dp3.model.canonical import time_to_text
from dp3.model.wire import WirePoint, WireTask
from dp3.reads.profiles import Span
from dp3.store.ports.leases import Lease
from dp3.store.ports.runs import Phase
from dp3.store.ports.snapshots import SnapshotBatch
from kit.engine import RUNS_MODEL, Engine
from kit.faults import run_writes
from kit.limits import Enter, run_pages, runs_are_retried_at_once, short_slices
from kit.points import START_US, derived, derived_point, plain, seen, task
from kit.worker import SteppedWorker, settle

Values = dict[str, Any]

CHAIN = 4
ENTITIES = 60


def a_task(attr: str, v: Any, eid: str, etype: str = "a") -> DataPointTask:
    return derived(eid, attr, v, etype, RUNS_MODEL)


def chains(cluster: Engine) -> None:
    """Entities in chains of four, linked by `peer`."""
    for i in range(ENTITIES):
        link = {"peer": {"eid": f"e{i + 1}"}} if i % CHAIN != CHAIN - 1 else {}
        cluster.put("a", f"e{i}", p=i, **link)


def risk_of_peer(registrar: CallbackRegistrar) -> None:
    """`risk` is the `p` of the peer; a task says so, too."""

    def hook(entity_type: str, values: Values) -> list[DataPointTask]:
        if "peer" not in values or "record" not in values["peer"]:
            return []
        values["risk"] = values["peer"]["record"]["p"]
        return [a_task("p", values["risk"] + 1_000, f"told-{values['eid']}")]

    registrar.register_correlation_hook(hook, "a", [["peer", "p"]], [["risk"]])


def expect_chains(cluster: Engine) -> None:
    for i in range(ENTITIES):
        [row] = cluster.snapshots("a", f"e{i}")
        assert row.get("risk") == (i + 1 if i % CHAIN != CHAIN - 1 else None)
    told = sorted(str(task.eid) for task in cluster.derived())
    assert told == sorted(f"told-e{i}" for i in range(ENTITIES) if i % CHAIN != CHAIN - 1)


def run(cluster: Engine, *workers: SteppedWorker) -> None:
    cluster.clock.advance(1)
    assert workers[0].request_run() is not None
    settle(*workers)


# -- brackets ----------------------------------------------------------------------------------------


def logged(calls: list[str], name: str) -> Callable[[CallbackRegistrar], None]:
    def register(registrar: CallbackRegistrar) -> None:
        registrar.register_snapshot_init_hook(lambda: calls.append(f"init {name}"))
        registrar.register_correlation_hook(lambda etype, values: calls.append("work"), "a", [["p"]], [])
        registrar.register_snapshot_finalize_hook(lambda: calls.append(f"finalize {name}"))

    return register


def test_init_hooks_of_all_workers_come_before_all_work_and_finalize_hooks_after_it(pair: Engine) -> None:
    calls: list[str] = []
    workers = [pair.start(logged(calls, str(index)), index=index) for index in range(2)]
    chains(pair)
    settle(*workers)
    run(pair, *workers)
    assert set(calls[:2]) == {"init 0", "init 1"}
    assert calls[2:-2] == ["work"] * ENTITIES
    assert set(calls[-2:]) == {"finalize 0", "finalize 1"}
    for worker in workers:
        worker.stop()


def test_tasks_of_init_and_finalize_hooks_come_to_the_log(cluster: Engine) -> None:
    def register(registrar: CallbackRegistrar) -> None:
        registrar.register_snapshot_init_hook(lambda: [a_task("p", 1, "init")])
        registrar.register_snapshot_finalize_hook(lambda: [a_task("p", 2, "finalize")])

    worker = cluster.start(register=register)
    run(cluster, worker)
    worker.stop()
    settle_outbox(cluster)
    assert sorted(str(task.eid) for task in cluster.derived()) == ["finalize", "init"]


def settle_outbox(cluster: Engine) -> None:
    """Let a worker without hooks take in what is left."""
    worker = cluster.start()
    while not cluster.derived():
        worker.step()
    worker.stop()


# -- beginning ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump_s", [365 * 86_400, -3_600])
def test_snapshots_are_listed_in_the_order_of_runs_and_filtered_by_the_time_shown(
    cluster: Engine, jump_s: int
) -> None:
    worker = cluster.start()
    times = []
    for number, jump in enumerate((0, jump_s, -jump_s)):
        cluster.clock.jump(jump)
        cluster.send(task("e0", plain("p", number)))
        settle(worker)
        run(cluster, worker)
        times.append(cluster.clock.now_us())
    worker.stop()
    reads = cluster.reads()
    shown = [(row["p"], row["_time_created"]) for row in reads.snapshots.series("a", "e0", Span())]
    assert shown == [(number, time_to_text(to_datetime(time))) for number, time in enumerate(times)]
    only = Span(times[1], times[1])
    assert [row["p"] for row in reads.snapshots.series("a", "e0", only)] == [1]
    assert reads.listings.latest("a").documents[0]["p"] == 2


@pytest.mark.parametrize("jump_s", [365 * 86_400, -7_200])
def test_a_run_after_a_wrong_clock_computes_the_values_of_its_own_time(cluster: Engine, jump_s: int) -> None:
    worker = cluster.start()
    cluster.send(task("t0", seen("level", 1), etype="t"))
    settle(worker)
    levels = []
    for jump in (0, jump_s, -jump_s):
        cluster.clock.jump(jump)
        run(cluster, worker)
        found = cluster.reads().listings.latest("t")
        assert found.run_time == cluster.clock.now_us()
        levels.append(found.documents[0].get("level"))
    worker.stop()
    assert levels == [1, None, 1]


def test_workers_that_notice_the_same_moment_begin_one_run(pair: Engine) -> None:
    workers = [pair.start(index=index, runs={"minute": "*/30"}) for index in range(2)]
    pair.clock.advance(200.5)
    settle(*workers)
    pair.clock.advance(0.7)
    settle(*workers)
    assert [run.time for run in pair.store.runs.last(9)] == [START_US + 200_000_000]
    for worker in workers:
        worker.stop()


def test_a_run_can_not_begin_while_another_is_open(cluster: Engine) -> None:
    worker = cluster.start()
    assert worker.request_run() is not None
    assert worker.request_run() is None
    message = cluster.store.control.send(0, "make_snapshots", {})
    settle(worker)
    assert cluster.store.control.results([message]) == {message: {"error": "a snapshot run is under way"}}
    worker.stop()


def test_a_control_message_begins_a_run_and_is_told_its_number(cluster: Engine) -> None:
    worker = cluster.start()
    message = cluster.store.control.send(0, "make_snapshots", {})
    settle(worker)
    assert cluster.store.control.results([message]) == {message: {"run": cluster.last_run().id}}
    assert cluster.last_run().status == "complete"
    worker.stop()


# -- what is looked at -------------------------------------------------------------------------------


def test_a_run_without_hooks_looks_only_at_what_has_changed(cluster: Engine) -> None:
    worker = cluster.start()
    chains(cluster)
    settle(worker)
    run(cluster, worker)
    assert cluster.progress().entities == ENTITIES
    cluster.put("a", "e7", p=1_234)
    settle(worker)
    run(cluster, worker)
    assert (cluster.progress().entities, cluster.progress().written) == (1, 1)
    assert [row["p"] for row in cluster.snapshots("a", "e7")] == [7, 1_234]
    worker.stop()


def test_an_entity_that_is_the_same_again_gets_no_row(cluster: Engine) -> None:
    worker = cluster.start()
    cluster.put("a", "e7", p=7)
    settle(worker)
    run(cluster, worker)
    cluster.put("a", "e7", p=7)
    settle(worker)
    run(cluster, worker)
    assert (cluster.progress().entities, cluster.progress().written) == (1, 0)
    worker.stop()


def test_after_a_change_of_hooks_everything_is_looked_at(cluster: Engine) -> None:
    worker = cluster.start()
    chains(cluster)
    settle(worker)
    run(cluster, worker)
    worker.stop()
    worker = cluster.start(register=risk_of_peer)
    run(cluster, worker)
    assert cluster.progress().entities == ENTITIES
    worker.stop()


def test_a_component_above_the_limit_is_processed_without_records_and_reported(cluster: Engine) -> None:
    worker = cluster.start(register=risk_of_peer, max_component=3)
    chains(cluster)
    settle(worker)
    run(cluster, worker)
    assert cluster.store.queries.count("a") == ENTITIES
    assert all("risk" not in cluster.snapshots("a", f"e{i}")[0] for i in range(ENTITIES))
    assert cluster.last_run().detail["too_large"] == [CHAIN] * (ENTITIES // CHAIN)
    worker.stop()


# -- several workers ---------------------------------------------------------------------------------


def test_components_over_several_workers_are_complete(pair: Engine) -> None:
    workers = [pair.start(risk_of_peer, index=index) for index in range(2)]
    chains(pair)
    settle(*workers)
    run(pair, *workers)
    for worker in workers:
        worker.stop()
    expect_chains_of_snapshots_only(pair)
    assert pair.last_run().detail["components"] == ENTITIES // CHAIN


def expect_chains_of_snapshots_only(cluster: Engine) -> None:
    for i in range(ENTITIES):
        assert cluster.snapshots("a", f"e{i}")[0].get("risk") == (i + 1 if i % CHAIN != CHAIN - 1 else None)


def test_a_worker_that_is_not_heard_of_for_a_minute_is_recorded_and_the_run_closes_as_partial(
    pair: Engine,
) -> None:
    workers = [pair.start(index=index) for index in range(2)]
    chains(pair)
    settle(*workers)
    assert workers[0].request_run() is not None
    workers[1].die()
    for _ in range(500):
        workers[0].step()
    assert pair.last_run().phase is Phase.INIT
    pair.clock.advance(61)
    pair.store.leases.heartbeat(workers[0].lease, "working")
    settle(workers[0])
    closed = pair.last_run()
    assert closed.status == "partial: no sign of life of worker 1"
    assert closed.detail["missing"] == [1]
    workers[0].stop()


def test_after_a_partial_run_the_next_one_makes_up_for_it(pair: Engine) -> None:
    workers = [pair.start(index=index) for index in range(2)]
    chains(pair)
    settle(*workers)
    workers[1].stop()
    workers[0].request_run()
    workers[0].step()
    pair.clock.advance(61)
    pair.store.leases.heartbeat(workers[0].lease, "working")
    settle(workers[0])
    workers[1] = pair.start(index=1)
    run(pair, *workers)
    assert pair.last_run().status == "complete"
    assert pair.store.queries.count("a") == ENTITIES
    for worker in workers:
        worker.stop()


# -- crashes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", range(1, 90, 6))
def test_a_worker_that_dies_in_a_run_completes_it_after_its_restart(
    cluster: Engine, steps: int, enter: Enter
) -> None:
    enter(short_slices())
    enter(run_pages(8, 8))
    worker = cluster.start(register=risk_of_peer)
    chains(cluster)
    settle(worker)
    cluster.clock.advance(1)
    assert worker.request_run() is not None
    for _ in range(steps):
        worker.step()
    worker.stop()
    worker = cluster.start(register=risk_of_peer)
    settle(worker)
    wait_for_tasks(cluster, worker, ENTITIES - ENTITIES // CHAIN)
    assert cluster.last_run().status == "complete"
    expect_chains(cluster)
    worker.stop()


def wait_for_tasks(cluster: Engine, worker: SteppedWorker, count: int) -> None:
    for _ in range(2_000):
        worker.step()
        if len(cluster.derived()) >= count:
            return


def test_a_run_of_another_number_of_workers_is_closed_as_partial(cluster: Engine) -> None:
    worker = cluster.start()
    worker.request_run()
    worker.stop()
    cluster.processes = 2
    workers = [cluster.start(index=index) for index in range(2)]
    settle(*workers)
    assert cluster.last_run().status == "partial: it was begun by 1 workers, now there are 2"
    for one in workers:
        one.stop()


def test_a_run_that_is_older_than_a_day_is_closed_as_partial(cluster: Engine) -> None:
    worker = cluster.start()
    worker.request_run()
    worker.stop()
    cluster.clock.advance(90_000)
    worker = cluster.start()
    settle(worker)
    assert cluster.last_run().status == "partial: it was begun more than a day ago"
    worker.stop()


# -- failures ----------------------------------------------------------------------------------------


def test_a_failing_hook_becomes_a_dead_letter_and_hurts_nobody(cluster: Engine) -> None:
    def register(registrar: CallbackRegistrar) -> None:
        def hook(entity_type: str, values: Values) -> None:
            if values["p"] == 7:
                raise RuntimeError("not seven")
            values["risk"] = 1

        registrar.register_correlation_hook(hook, "a", [["p"]], [["risk"]])

    worker = cluster.start(register=register)
    chains(cluster)
    settle(worker)
    run(cluster, worker)
    assert cluster.snapshots("a", "e7")[0].get("risk") is None
    assert cluster.snapshots("a", "e8")[0]["risk"] == 1
    [(_, letter)] = cluster.store.dead_letters.page(0, 10)
    assert (letter.kind, letter.etype, letter.eid) == ("hook", "a", "e7")
    assert "not seven" in letter.reason
    worker.stop()


def test_of_a_result_with_a_spoilt_task_nothing_is_kept(cluster: Engine) -> None:
    def register(registrar: CallbackRegistrar) -> None:
        registrar.register_snapshot_init_hook(lambda: [a_task("p", 1, "good"), spoilt()])
        registrar.register_snapshot_finalize_hook(lambda: [a_task("p", 2, "finalize")])

    def spoilt() -> DataPointTask:
        task = a_task("p", 2, "bad")
        task.tags = [object()]
        return task

    worker = cluster.start(register=register)
    run(cluster, worker)
    worker.stop()
    settle_outbox(cluster)
    assert [task.eid for task in cluster.derived()] == ["finalize"]
    [(_, letter)] = cluster.store.dead_letters.page(0, 10)
    assert letter.kind == "hook"


def test_a_dead_letter_of_a_snapshot_hook_can_be_dropped_but_not_retried(cluster: Engine) -> None:
    def register(registrar: CallbackRegistrar) -> None:
        registrar.register_correlation_hook(lambda etype, values: 1 / 0, "a", [["p"]], [])

    worker = cluster.start(register=register)
    cluster.put("a", "e1", p=1)
    settle(worker)
    run(cluster, worker)
    [(id_, _)] = cluster.store.dead_letters.page(0, 10)
    retried = cluster.store.control.send(0, "deadletters", {"op": "retry", "ids": [id_]})
    dropped = cluster.store.control.send(0, "deadletters", {"op": "drop", "ids": [id_]})
    settle(worker)
    results = cluster.store.control.results([retried, dropped])
    assert "runs again in every snapshot run" in results[retried]["results"][str(id_)]["reason"]
    assert results[dropped]["results"][str(id_)] == {"done": True}
    worker.stop()


def test_a_hook_that_always_fails_does_not_fill_the_dead_letters(cluster: Engine) -> None:
    def register(registrar: CallbackRegistrar) -> None:
        registrar.register_correlation_hook(lambda etype, values: 1 / 0, "a", [["p"]], [["risk"]])

    worker = cluster.start(register=register)
    for i in range(150):
        cluster.put("a", f"e{i}", p=i)
    settle(worker)
    run(cluster, worker)
    assert cluster.store.dead_letters.count() == 100
    assert cluster.store.counters.all()["module_error"] == 150
    worker.stop()


def test_a_dead_letter_is_kept_once_though_the_work_is_done_again(cluster: Engine, enter: Enter) -> None:
    def register(registrar: CallbackRegistrar) -> None:
        registrar.register_correlation_hook(lambda etype, values: 1 / 0, "a", [["p"]], [["risk"]])

    failures = ["the disk is away for a moment"]

    def write_or_fail(write: Any, lease: Lease, batch: SnapshotBatch) -> None:
        if batch.progress and batch.progress.checkpoint["after"] and failures:
            raise RuntimeError(failures.pop())
        write(lease, batch)

    enter(runs_are_retried_at_once())
    enter(run_writes(cluster.store, write_or_fail))
    worker = cluster.start(register=register)
    cluster.put("a", "e1", p=1)
    settle(worker)
    run(cluster, worker)
    assert not failures
    assert cluster.store.dead_letters.count() == 1
    assert cluster.store.counters.all()["module_error"] == 1
    worker.stop()


def test_what_a_hook_leaves_that_can_not_be_stored_is_reported_and_left_out(cluster: Engine) -> None:
    def register(registrar: CallbackRegistrar) -> None:
        def hook(entity_type: str, values: Values) -> None:
            values["risk"] = 5
            values["odd"] = object()

        registrar.register_correlation_hook(hook, "a", [["p"]], [["risk"]])

    worker = cluster.start(register=register)
    cluster.put("a", "e1", p=1)
    settle(worker)
    run(cluster, worker)
    assert cluster.snapshots("a", "e1") == [{"eid": "e1", "p": 1, "risk": 5}]
    [(_, letter)] = cluster.store.dead_letters.page(0, 10)
    assert letter.reason.startswith("odd: ")
    assert (letter.module, letter.hook.rpartition(".")[2]) == ("test", "hook"), "the only one of the type"
    worker.stop()


def test_a_value_that_can_not_be_stored_is_of_the_hook_that_has_left_it_as_far_as_that_is_known(
    cluster: Engine,
) -> None:
    def leaves(attr: str, value: Any) -> Callable[[str, Values], None]:
        return lambda entity_type, values: values.update({attr: value})

    def register(registrar: CallbackRegistrar) -> None:
        hooks = {
            "adds": (leaves("odd", object()), []),
            "declares": (leaves("risk", object()), [["risk"]]),
            "replaces": (leaves("p", object()), [["p"]]),
            "restores": (leaves("p", object()), [["p"]]),
        }
        for name, (hook, may_change) in hooks.items():
            hook.__qualname__ = name
            registrar.register_correlation_hook(hook, "a", [], may_change)

    worker = cluster.start(register=register)
    cluster.put("a", "e1", p=1, risk=1)
    settle(worker)
    run(cluster, worker)
    page = cluster.store.dead_letters.page(0, 10)
    letters = {letter.reason.partition(":")[0]: letter for _, letter in page}
    hooks = {name: letter.hook.rpartition(".")[2] for name, letter in letters.items()}
    assert hooks == {"odd": "adds", "risk": "declares", "p": ""}
    several = letters["p"].reason.partition("; left by one of the hooks ")[2]
    assert sorted(name.rpartition(".")[2] for name in several.split(", ")) == ["replaces", "restores"]
    worker.stop()


# -- timeseries hooks --------------------------------------------------------------------------------

CHUNK = WirePoint(
    "load",
    {"time": ["2020-09-13T12:26:00Z"], "cpu": [42]},
    START_US,
    START_US,
)


def of_timeseries(made: Callable[[str], list[DataPointTask]], seen: list[Any]) -> Callable[..., None]:
    def register(registrar: CallbackRegistrar) -> None:
        def hook(entity_type: str, attr_type: str, history: list[dict[str, Any]]) -> list[DataPointTask]:
            seen.append((entity_type, attr_type, history))
            return made("t1")

        registrar.register_timeseries_hook(hook, "t", "load")

    return register


def observed(attr: str, v: int) -> DataPointTask:
    t1 = to_datetime(START_US)
    point = {"etype": "t", "eid": "t1", "attr": attr, "v": v, "t1": t1, "t2": t1, "c": 1.0}
    return derived_point(RUNS_MODEL, point)


def test_a_timeseries_hook_gets_the_history_typed(cluster: Engine) -> None:
    seen: list[Any] = []
    worker = cluster.start(register=of_timeseries(lambda eid: [], seen))
    cluster.send(task("t1", CHUNK, etype="t"))
    settle(worker)
    run(cluster, worker)
    t1 = to_datetime(START_US)
    moment = to_datetime(START_US - 40_000_000)
    assert seen == [("t", "load", [{"t1": t1, "t2": t1, "v": {"time": [moment], "cpu": [42]}}])]
    worker.stop()


def test_what_a_timeseries_hook_returns_is_in_the_snapshots_of_the_same_run(cluster: Engine) -> None:
    def made(eid: str) -> list[DataPointTask]:
        own = [a_task("p", 8, eid, "t"), observed("level", 3), observed("levels", 4)]
        return [*own, a_task("p", 9, "t2", "t")]

    worker = cluster.start(register=of_timeseries(made, []))
    earlier = WirePoint("levels", 5, START_US, START_US, 1_000_000_000)
    cluster.send(task("t1", CHUNK, WirePoint("p", 1), earlier, etype="t"))
    cluster.put("t", "t2", p=2)
    settle(worker)
    run(cluster, worker)
    [row] = cluster.snapshots("t", "t1")
    assert (row["p"], row["level"], sorted(row["levels"])) == (8, 3, [4, 5])
    assert cluster.snapshots("t", "t2")[0]["p"] == 2
    wait_for_tasks(cluster, worker, 4)
    told = sorted(wire_of(task) for task in cluster.derived())
    assert told == [("t1", "level", 3), ("t1", "levels", 4), ("t1", "p", 8), ("t2", "p", 9)]
    worker.stop()


def test_what_a_timeseries_hook_returns_is_in_the_master_record_of_the_same_run(cluster: Engine) -> None:
    seen: list[Any] = []

    def register(registrar: CallbackRegistrar) -> None:
        made = [a_task("p", 8, "t1", "t"), observed("level", 3)]
        registrar.register_timeseries_hook(lambda *_: made, "t", "load")
        registrar.register_correlation_hook_with_master_record(
            lambda etype, values, master: seen.append((master["p"]["v"], master["level"][0]["v"])),
            "t",
            [["p"]],
            [],
        )

    worker = cluster.start(register=register)
    cluster.send(task("t1", CHUNK, etype="t"))
    settle(worker)
    run(cluster, worker)
    assert seen == [(8, 3)]
    worker.stop()


def wire_of(task: WireTask) -> tuple[Any, str, Any]:
    return task.eid, task.points[0].attr, task.points[0].v


def test_ingestion_goes_on_while_a_hook_of_a_run_waits(cluster: Engine) -> None:
    released = threading.Event()

    def register(registrar: CallbackRegistrar) -> None:
        def hook(entity_type: str, values: Values) -> None:
            released.wait(10)

        registrar.register_correlation_hook(hook, "a", [["p"]], [])

    worker = cluster.start(register=register)
    cluster.put("a", "e1", p=1)
    settle(worker)
    worker.request_run()
    for _ in range(6):
        worker.step()
    cluster.put("a", "e2", p=2)
    for _ in range(6):
        worker.step()
    assert cluster.store.entities.profile("a", "e2") is not None
    assert cluster.last_run().phase is Phase.WORK
    released.set()
    settle(worker)
    assert cluster.last_run().status == "complete"
    worker.stop()


def test_the_log_is_read_again_only_from_where_the_last_run_stopped(cluster: Engine) -> None:
    worker = cluster.start()
    chains(cluster)
    settle(worker)
    run(cluster, worker)
    head = cluster.log.head(Lane.MAIN).offset
    assert {offset for (_, lane), offset in cluster.store.runs.watermarks().items() if lane == Lane.MAIN} == {
        head
    }
    worker.stop()
