"""Periodic hooks: every entity of the type once in a period, evenly spread, whatever happens meanwhile."""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from dp3.clock import to_datetime
from dp3.engine.jobs.hook_effects import MOST_DEAD_LETTERS as MOST_LETTERS
from dp3.hooks.registrar import CallbackRegistrar
from dp3.log.port import Lane
from dp3.model.partition import partition_of
from dp3.store.ports.errors import StoreFull
from dp3.store.ports.leases import Lease
from dp3.store.ports.updates import UpdateBatch
from kit.engine import Engine
from kit.faults import update_reads, update_writes
from kit.points import SECOND, delete, derived, obs, plain, task
from kit.worker import SteppedWorker

TICK_S = 300
PARTITIONS = 8


class Visits:
    """A periodic hook that notes for which entities it is called."""

    def __init__(self, *periods: str, etype: str = "a") -> None:
        self._periods = periods
        self._etype = etype
        self.seen: list[str] = []

    def __call__(self, etype: str, eid: str) -> None:
        assert etype == self._etype
        self.seen.append(eid)

    def register(self, registrar: CallbackRegistrar) -> None:
        for period in self._periods:
            registrar.register_periodic_eid_update_hook(self, "visits", self._etype, period)

    def take(self) -> list[str]:
        taken, self.seen = self.seen, []
        return sorted(taken)


def eids(first: int, end: int) -> list[str]:
    return sorted(f"e{number}" for number in range(first, end))


def create(engine: Engine, first: int, end: int, etype: str = "a") -> None:
    engine.send(*(task(f"e{number}", plain("p", number), etype=etype) for number in range(first, end)))


def come_due(engine: Engine) -> None:
    """Go to the moment of the next batch."""
    engine.clock.advance(TICK_S - engine.clock.now_us() // SECOND % TICK_S)


def tick(engine: Engine, *workers: SteppedWorker) -> None:
    """Go to the moment of the next batch and let it be done."""
    come_due(engine)
    for worker in workers:
        worker.finish()


def called_with(*arguments: Any) -> Callable[..., Any]:
    def register(registrar: CallbackRegistrar) -> None:
        registrar.register_periodic_update_hook(*arguments)

    return register


def test_every_entity_of_the_type_is_visited_once_in_a_period(engine: Engine) -> None:
    visits = Visits("1h")
    create(engine, 0, 100)
    create(engine, 0, 10, etype="b")
    with engine.worker(visits.register) as worker:
        for _ in range(3):
            for _ in range(12):
                tick(engine, worker)
            assert visits.take() == eids(0, 100)


@pytest.mark.parametrize("entities", [3, 100, 1_000])
def test_visits_are_spread_evenly_over_the_period(engine: Engine, entities: int) -> None:
    visits = Visits("1h")
    create(engine, 0, entities)
    with engine.worker(visits.register) as worker:
        for number in range(1, 13):
            tick(engine, worker)
            assert len(visits.seen) == pytest.approx(entities * number / 12, abs=PARTITIONS)


def test_nothing_is_visited_before_the_first_batch_is_due(engine: Engine) -> None:
    visits = Visits("5m")
    create(engine, 0, 10)
    with engine.worker(visits.register) as worker:
        engine.clock.advance(1)
        worker.finish()
    assert visits.seen == []


def test_several_workers_visit_their_own_entities(engine: Engine) -> None:
    visits = [Visits("1h"), Visits("1h")]
    create(engine, 0, 100)
    with (
        engine.worker(visits[0].register, processes=2) as first,
        engine.worker(visits[1].register, processes=2, index=1) as second,
    ):
        for _ in range(12):
            tick(engine, first, second)
    own = [eid for eid in eids(0, 100) if partition_of("a", eid, PARTITIONS) % 2 == 0]
    assert visits[0].take() == own
    assert visits[1].take() == sorted(set(eids(0, 100)) - set(own))


def test_a_restart_with_another_number_of_workers_goes_on_where_the_others_were(engine: Engine) -> None:
    visits = Visits("1h")
    create(engine, 0, 200)
    with engine.worker(visits.register) as worker:
        for _ in range(5):
            tick(engine, worker)
    with (
        engine.worker(visits.register, processes=2) as first,
        engine.worker(visits.register, processes=2, index=1) as second,
    ):
        for _ in range(4):
            tick(engine, first, second)
    assert set(Counter(visits.seen).values()) == {1}
    with engine.worker(visits.register) as worker:
        for _ in range(3):
            tick(engine, worker)
    assert visits.take() == eids(0, 200)


def test_an_entity_made_in_the_middle_of_a_cycle_is_visited_in_it_or_the_next(engine: Engine) -> None:
    visits = Visits("30m")
    create(engine, 0, 50)
    with engine.worker(visits.register) as worker:
        for number in range(12):
            create(engine, 50 + 5 * number, 55 + 5 * number)
            worker.finish()
            tick(engine, worker)
        counts = Counter(visits.take())
    assert all(counts[eid] == 2 for eid in eids(0, 50))
    assert all(1 <= counts[eid] <= 2 for eid in eids(50, 80))


def test_deleted_entities_are_not_visited_any_more(engine: Engine) -> None:
    visits = Visits("30m")
    create(engine, 0, 60)
    with engine.worker(visits.register) as worker:
        for _ in range(3):
            tick(engine, worker)
        seen = set(visits.take())
        gone = eids(0, 60)[::2]
        engine.send(*map(delete, gone))
        worker.finish()
        for _ in range(3):
            tick(engine, worker)
        assert visits.take() == sorted(set(eids(0, 60)) - seen - set(gone))


def test_hooks_of_one_period_run_one_after_the_other_for_each_entity(engine: Engine) -> None:
    calls: list[tuple[str, str]] = []

    def register(registrar: CallbackRegistrar) -> None:
        for name in ("first", "second", "third"):
            hook = lambda etype, eid, name=name: calls.append((eid, name))  # noqa: E731
            registrar.register_periodic_eid_update_hook(hook, name, "a", "5m")

    create(engine, 0, 30)
    with engine.worker(register, threads=4) as worker:
        tick(engine, worker)
    by_entity: dict[str, list[str]] = {}
    for eid, name in calls:
        by_entity.setdefault(eid, []).append(name)
    assert by_entity == {eid: ["first", "second", "third"] for eid in eids(0, 30)}


def test_hooks_of_other_periods_have_their_own_cycles(engine: Engine) -> None:
    visits = Visits("10m", "15m")
    create(engine, 0, 20)
    with engine.worker(visits.register) as worker:
        for _ in range(6):
            tick(engine, worker)
    assert Counter(visits.seen) == dict.fromkeys(eids(0, 20), 3 + 2)


def test_a_hook_with_the_record_gets_the_master_document_typed(engine: Engine) -> None:
    records = []

    def hook(etype: str, eid: str, record: dict[str, Any]) -> None:
        records.append(dict(record))
        record.clear()

    def register(registrar: CallbackRegistrar) -> None:
        registrar.register_periodic_update_hook(hook, "x", "a", "5m")
        registrar.register_periodic_update_hook(lambda *arguments: hook(*arguments), "y", "a", "5m")

    engine.send(task("e1", plain("p", 7), obs(3)))
    created = engine.clock.now_us()
    with engine.worker(register) as worker:
        tick(engine, worker)
    assert records[0] == records[1]
    assert records[0]["_id"] == "e1"
    assert records[0]["#time_created"] == to_datetime(created)
    assert records[0]["p"] == {"v": 7, "ts_last_update": to_datetime(created)}
    (interval,) = records[0]["o"]
    assert interval == {
        "t1": to_datetime(obs(3).t1 or 0),
        "t2": to_datetime(obs(3).t2 or 0),
        "v": 3,
        "c": 1.0,
    }


def test_returned_tasks_are_applied_once(engine: Engine) -> None:
    register = called_with(lambda etype, eid, record: [derived(eid, "s", record["p"]["v"])], "x", "a", "5m")
    create(engine, 0, 9)
    with engine.worker(register) as worker:
        tick(engine, worker)
    assert [engine.values(f"e{n}") for n in range(9)] == [{"p": n, "s": n} for n in range(9)]
    assert engine.raw_count("a") == 18
    assert engine.log.head(Lane.DERIVED).offset > 0


def test_tasks_reach_the_log_though_the_clock_went_back(engine: Engine) -> None:
    register = called_with(lambda etype, eid, record: [derived(eid, "s", 1)], "x", "a", "5m")
    create(engine, 0, 1)
    with engine.worker(register) as worker:
        tick(engine, worker)
    engine.clock.advance(-86_400)
    create(engine, 1, 2)
    with engine.worker(called_with(lambda *_: [derived("e1", "s", 2)], "y", "b", "5m")) as worker:
        create(engine, 0, 1, etype="b")
        worker.finish()
        tick(engine, worker)
    assert engine.values("e1") == {"p": 1, "s": 2}


def test_a_failing_hook_becomes_a_dead_letter_and_the_rest_goes_on(engine: Engine) -> None:
    visits = Visits("5m")

    def register(registrar: CallbackRegistrar) -> None:
        registrar.register_periodic_eid_update_hook(lambda etype, eid: 1 / (eid != "e3"), "bad", "a", "5m")
        visits.register(registrar)

    create(engine, 0, 10)
    with engine.worker(register) as worker:
        tick(engine, worker)
    assert visits.take() == eids(0, 10)
    letters = [stored.letter for stored in engine.letters()]
    assert {letter.kind for letter in letters} == {"hook", "result"}
    (failed,) = [letter for letter in letters if letter.kind == "hook"]
    assert (failed.etype, failed.eid, failed.module) == ("a", "e3", "m")
    assert "ZeroDivisionError" in failed.reason
    assert engine.store.counters.all()["module_error"] == len(letters)


def test_a_hook_that_always_fails_does_not_fill_the_dead_letters(engine: Engine) -> None:
    create(engine, 0, MOST_LETTERS + 20)
    with engine.worker(called_with(lambda *_: 1 / 0, "bad", "a", "5m")) as worker:
        tick(engine, worker)
    assert engine.store.dead_letters.count() == MOST_LETTERS
    assert engine.store.counters.all()["module_error"] == MOST_LETTERS + 20


def test_dead_letters_of_periodic_hooks_are_not_tried_again(engine: Engine) -> None:
    create(engine, 0, 1)
    with engine.worker(called_with(lambda *_: 1 / 0, "bad", "a", "5m")) as worker:
        tick(engine, worker)
    (letter,) = engine.letters()
    assert engine.order("retry", letter) == {
        "done": False,
        "reason": "the hook runs again in its next period; drop the dead letter",
    }


def test_time_without_a_worker_is_reported_and_not_made_up_for(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    visits = Visits("1h")
    create(engine, 0, 120)
    with engine.worker(visits.register) as worker:
        tick(engine, worker)
    engine.clock.advance(4 * TICK_S)
    with caplog.at_level(logging.WARNING), engine.worker(visits.register) as worker:
        tick(engine, worker)
        assert len(visits.seen) == pytest.approx(20, abs=PARTITIONS)
    assert "4 batches" in caplog.text
    assert engine.store.counters.all()["update_batches_missed"] == 4
    ((etype, cycle),) = engine.store.updates.cycles(10)
    assert (etype, cycle.missed, cycle.batch, cycle.batches) == ("a", 4, 2, 12)
    assert cycle.visited == len(visits.seen)


def test_batches_of_a_slow_hook_do_not_overlap_but_take_twice_the_period(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    release = threading.Semaphore(0)
    seen: list[str] = []

    def slow(etype: str, eid: str, record: dict[str, Any]) -> None:
        release.acquire()
        seen.append(eid)

    create(engine, 0, 6)
    with engine.worker(called_with(slow, "slow", "a", "5m"), threads=2) as worker:
        come_due(engine)
        for _ in range(3):
            worker.step()
        engine.send(task("meanwhile", plain("p", 1), etype="b"))
        with caplog.at_level(logging.WARNING):
            come_due(engine)
            for _ in range(3):
                worker.step()
        assert engine.values("meanwhile", "b") == {"p": 1}
        release.release(100)
        worker.finish()
        assert sorted(seen) == eids(0, 6)
        tick(engine, worker)
    assert "is left out, the one before is still under way" in caplog.text
    assert engine.store.counters.all()["update_batches_missed"] == 1
    assert Counter(seen) == dict.fromkeys(eids(0, 6), 2)


def test_hooks_are_not_called_again_because_the_disk_is_full(engine: Engine) -> None:
    visits = Visits("5m")
    create(engine, 0, 20)
    full: list[bool] = []

    def refuse(write: Any, lease: Lease, batch: UpdateBatch) -> None:
        if visits.seen and len(full) < 3:
            full.append(True)
            raise StoreFull("no room")
        write(lease, batch)

    with update_writes(engine.store, refuse), engine.worker(visits.register) as worker:
        come_due(engine)
        while len(full) < 3:
            worker.step()
            engine.clock.advance(0.6)
        engine.clock.advance(2)
        worker.finish()
    assert visits.take() == eids(0, 20)
    ((_, cycle), *_) = engine.store.updates.cycles(1)
    assert cycle.visited == 20


def test_a_batch_that_can_not_be_read_is_gone_on_with_by_the_next_one(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    visits = Visits("10m")
    create(engine, 0, 20)
    broken = [True]

    def fail(read: Any, *arguments: Any) -> Any:
        if broken:
            broken.clear()
            raise OSError("the disk is gone")
        return read(*arguments)

    with update_reads(engine.store, fail), engine.worker(visits.register) as worker:
        with caplog.at_level(logging.ERROR):
            tick(engine, worker)
        assert "the disk is gone" in caplog.text
        assert visits.seen == []
        tick(engine, worker)
        tick(engine, worker)
    assert visits.take() == eids(0, 20)


def test_an_entity_whose_hook_ends_the_worker_again_and_again_is_left_out(engine: Engine) -> None:
    seen: list[str] = []
    never = threading.Event()

    def hook(etype: str, eid: str, record: dict[str, Any]) -> None:
        if eid == "e3":
            never.wait(60)
        seen.append(eid)

    create(engine, 0, 30)
    for start in range(7):
        worker = engine.start(called_with(hook, "hanging", "a", "5m"))
        if start == 0:
            worker.step()
            come_due(engine)
        for _ in range(60):
            worker.step()
        worker.stop(clean=False)
    never.set()
    (letter,) = [stored.letter for stored in engine.letters()]
    assert (letter.etype, letter.eid, letter.kind) == ("a", "e3", "hook")
    assert set(seen) - {"e3"} == set(eids(0, 30)) - {"e3"}
    ((_, cycle),) = engine.store.updates.cycles(10)
    assert cycle.finished


def test_a_slow_group_does_not_hold_up_the_others(engine: Engine) -> None:
    release = threading.Event()
    visits = Visits("5m")

    def register(registrar: CallbackRegistrar) -> None:
        registrar.register_periodic_eid_update_hook(lambda *_: release.wait(60) and None, "slow", "a", "10m")
        visits.register(registrar)

    create(engine, 0, 30)
    with engine.worker(register, threads=3) as worker:
        come_due(engine)
        for _ in range(1_000):
            if len(visits.seen) == 30:
                break
            worker.step()
        assert visits.take() == eids(0, 30)
        release.set()
        worker.finish()


def test_a_schedule_that_is_denser_than_the_batch_period_does_not_visit_more_often(engine: Engine) -> None:
    visits = Visits("20m")
    create(engine, 0, 40)
    with engine.worker(visits.register, batch_minutes=20) as worker:
        for _ in range(8):
            tick(engine, worker)
    assert Counter(visits.seen) == dict.fromkeys(eids(0, 40), 2)


def test_records_of_cycles_are_kept_for_the_latest_ones(engine: Engine) -> None:
    visits = Visits("5m")
    create(engine, 0, 10)
    with engine.worker(visits.register) as worker:
        for _ in range(26):
            tick(engine, worker)
    cycles = [cycle for _, cycle in engine.store.updates.cycles(100)]
    assert len(cycles) < 3 + 12
    assert all(cycle.finished and cycle.visited == 10 and cycle.missed == 0 for cycle in cycles)
