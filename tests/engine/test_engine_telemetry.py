"""What is counted of hooks, sources and batches, and when attributes are measured."""

from typing import Any

import pytest

from dp3.engine.statistics import ABOVE, BUCKETS_S, Statistics
from dp3.hooks.registrar import CallbackRegistrar
from dp3.model.wire import WirePoint, WireTask
from dp3.reads.errors import CountingTooSlow
from dp3.store.ports.counters import HookSums
from kit.engine import Engine
from kit.jobs import measurer
from kit.limits import Enter, counting_s, measured_pages
from kit.points import SECOND, START_US, derived, obs, plain, task


def register(registrar: CallbackRegistrar) -> None:
    def derive(eid: Any, dp: Any) -> list[Any]:
        if dp.v == 13:
            raise ValueError
        return [derived(f"{eid}!", "p", dp.v, etype="b")]

    registrar.register_task_hook("on_task_start", lambda task: None)
    registrar.register_allow_entity_creation_hook(lambda eid, task: eid != "no", "a")
    registrar.register_on_new_attr_hook(derive, "a", "p")


def sums(engine: Engine) -> dict[str, HookSums]:
    return {found.family: found for found in engine.store.counters.hook_sums()}


def send_some(engine: Engine) -> None:
    engine.send(task("x", plain("p", 1), plain("p", 13)), task("no", plain("p", 2)))
    engine.send(task("x", plain("p", 3)))


def test_calls_failures_decisions_and_tasks_of_hooks_are_counted(engine: Engine) -> None:
    send_some(engine)
    engine.work(register)
    found = sums(engine)
    assert {(s.module, s.context) for s in found.values()} == {("m", ""), ("m", "a"), ("m", "a,p")}
    started, allow, new = (found[f] for f in ("on_task_start", "allow_entity_creation", "on_new_plain"))
    assert started.executions == 3 + 2
    assert (allow.executions, allow.allowed, allow.denied) == (2, 1, 1)
    assert (new.executions, new.failures, new.created_tasks) == (3, 1, 2)
    assert new.duration_ns > 0


def test_a_result_of_which_nothing_is_kept_is_a_failure_without_tasks(engine: Engine) -> None:
    def register(registrar: CallbackRegistrar) -> None:
        good = derived("y", "p", 1)
        registrar.register_on_entity_creation_hook(lambda eid, task: [good, "bad"], "a")

    engine.send(task("x", plain("p", 1)))
    engine.work(register)
    (found,) = engine.store.counters.hook_sums()
    assert (found.executions, found.failures, found.created_tasks) == (1, 1, 0)


def test_hooks_and_sources_count_once_when_a_lost_state_is_made_again_from_the_log(engine: Engine) -> None:
    send_some(engine)
    engine.work(register)
    before = [s._replace(duration_ns=0) for s in engine.store.counters.hook_sums()]
    counters = engine.store.counters.all()
    engine.lose_state()
    engine.work(register)
    assert [s._replace(duration_ns=0) for s in engine.store.counters.hook_sums()] == before
    names = ("task_processed", "datapoints", "record_created", "module_error")
    assert [engine.store.counters.all()[n] for n in names] == [counters[n] for n in names]


def test_tasks_and_data_points_that_can_not_be_processed_are_no_failures_of_modules(engine: Engine) -> None:
    engine.send(task("x", plain("gone", 1), plain("p", 13)), WireTask("gone", "y", [plain("p", 1)]))
    engine.work(register)
    counters = engine.store.counters.all()
    assert (counters["task_processing_error"], counters["module_error"]) == (2, 1)


def test_a_hook_that_is_called_again_for_its_dead_letter_is_counted(engine: Engine) -> None:
    engine.send(task("x", plain("p", 13)))
    engine.work(register)
    (letter,) = engine.letters()
    engine.order("retry", letter, register)
    new = sums(engine)["on_new_plain"]
    assert (new.executions, new.failures) == (2, 2)


def test_sources_are_known_by_the_data_points_that_were_applied(engine: Engine) -> None:
    def sent(eid: str, src: str | None, second: int) -> Any:
        point = obs(second)
        return task(eid, WirePoint(point.attr, point.v, point.t1, point.t2, point.c, src))

    engine.send(sent("x", "s", 5), sent("x", "s", 3), sent("x", None, 9), sent("no", "other", 4))
    engine.work(register)
    assert engine.store.counters.sources() == {"s": START_US + 5 * SECOND}


def test_durations_of_batches_and_hits_of_the_cache_are_told() -> None:
    statistics = Statistics()
    for duration_s in (0.005, 0.02, 0.02, 99.0):
        statistics.batch(duration_s)
    statistics.looked_up(10, 4)
    statistics.looked_up(5, 0)
    numbers = statistics.numbers()
    assert {bound: n for bound in (*BUCKETS_S, ABOVE) if (n := numbers[f"batches_{bound}"])} == {
        0.005: 1,
        0.025: 2,
        ABOVE: 1,
    }
    assert numbers["batches_s"] == pytest.approx(99.045)
    assert (numbers["entity_lookups"], numbers["entity_misses"]) == (15, 4)


def test_entities_are_counted_over_all_pages(engine: Engine, enter: Enter) -> None:
    engine.send(*(task(f"e{n}", plain("p", n), *([obs(n)] if n % 3 == 0 else [])) for n in range(30)))
    engine.work()
    enter(measured_pages(7))
    assert engine.reads().telemetry.entities_per_attribute() == {
        "a": {"p": 30, "s": 0, "o": 10},
        "b": {"p": 0, "s": 0, "o": 0},
    }


def test_counting_ends_after_its_time(engine: Engine) -> None:
    engine.send(task("x", plain("p", 1)))
    engine.work()
    with counting_s(0), pytest.raises(CountingTooSlow, match="more than 0 s"):
        engine.reads().telemetry.entities_per_attribute()


def test_attributes_are_measured_once_for_a_moment_by_one_worker(engine: Engine) -> None:
    engine.send(*(task(f"e{n}", plain("p", 1)) for n in range(300)))
    engine.work()
    first, second = (measurer(engine, ["a", "b"], index, processes=2) for index in range(2))
    now = engine.clock.now_us()
    assert first.measure(due=now)
    assert not first.measure(due=now)
    assert not second.measure(due=now + 1), "the other worker still has the job"
    reports = engine.store.sizes.reports()
    assert reports["b"].attributes == {}
    assert reports["a"].calculated == now
    size = reports["a"].attributes["p"]
    assert (size.entities, size.min * 300) == (300, size.total)
    engine.clock.advance(61)
    assert second.measure(due=now + 1)


def test_a_measurement_by_a_clock_that_was_far_ahead_does_not_count(engine: Engine) -> None:
    engine.send(task("x", plain("p", 1)))
    engine.work()
    worker = measurer(engine, ["a"], 0, processes=1)
    engine.clock.jump(365 * 86_400)
    assert worker.measure(due=0)
    engine.clock.jump(-365 * 86_400)
    now = engine.clock.now_us()
    assert worker.measure(due=now - 1)
    assert engine.store.sizes.reports()["a"].calculated == now
