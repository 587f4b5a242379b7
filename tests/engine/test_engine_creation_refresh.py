"""Creation hooks are called again for all entities of a type, when a message asks for it."""

import threading
from typing import Any

from dp3.engine.jobs.updates.creation import ACTION
from dp3.hooks.registrar import CallbackRegistrar
from dp3.model.task import DataPointTask
from dp3.store.ports.errors import StoreFull
from kit.engine import Engine, Register
from kit.faults import update_writes
from kit.limits import Enter, creation_pages
from kit.points import delete, derived, obs, plain, task
from kit.worker import SteppedWorker


def create(engine: Engine, *eids: str, etype: str = "a") -> None:
    engine.send(*(task(eid, plain("p", 1), etype=etype) for eid in eids))
    engine.work()


def ask(engine: Engine, etype: str = "a", worker: int = 0) -> int:
    return engine.store.control.send(worker, ACTION, {"etype": etype})


def result(engine: Engine, message: int) -> dict[str, Any] | None:
    return engine.store.control.results([message]).get(message)


def progress(engine: Engine, message: int) -> dict[str, Any]:
    (found,) = engine.store.control.progress([message])
    return found.report


def on_creation(hook: Any, etype: str = "a") -> Register:
    return lambda registrar: registrar.register_on_entity_creation_hook(hook, etype)


def counts_in(eid: str, task: DataPointTask) -> list[DataPointTask]:
    """A creation hook that tells another entity about every one."""
    return [derived(f"of-{eid}", "p", 7, etype="b")]


def finish(worker: SteppedWorker, most: int = 2_000) -> None:
    for _ in range(most):
        if not worker.step() and not worker.drain():
            return


EIDS = [f"e{number}" for number in range(30)]


def test_hooks_are_called_for_every_entity_of_the_type_with_an_empty_task(engine: Engine) -> None:
    seen: list[tuple[str, str, list[Any]]] = []

    def register(registrar: CallbackRegistrar) -> None:
        for name in ("first", "second"):
            registrar.register_on_entity_creation_hook(
                lambda eid, task, name=name: seen.append((name, eid, task.data_points)), "a"
            )
        registrar.register_on_entity_creation_hook(lambda eid, task: seen.append(("b", eid, [])), "b")

    create(engine, *EIDS)
    create(engine, "b1", etype="b")
    message = ask(engine)
    engine.work(register)
    assert sorted(seen) == sorted((name, eid, []) for name in ("first", "second") for eid in EIDS)
    assert result(engine, message) == {"entities": 30, "tasks": 0, "failures": 0}


def test_what_hooks_return_is_applied_and_told(engine: Engine) -> None:
    create(engine, *EIDS)
    message = ask(engine)
    engine.work(on_creation(counts_in))
    assert [engine.values(f"of-{eid}", "b") for eid in EIDS] == [{"p": 7}] * 30
    assert result(engine, message) == {"entities": 30, "tasks": 30, "failures": 0}


def test_entities_that_hooks_create_meanwhile_are_not_visited(engine: Engine) -> None:
    def breed(eid: str, task: DataPointTask) -> list[DataPointTask]:
        return [derived(f"{eid}+{number}", "p", 1) for number in range(2)] if len(eid) < 9 else []

    create(engine, *EIDS)
    message = ask(engine)
    with engine.worker(on_creation(breed), threads=1) as worker:
        finish(worker)
    assert result(engine, message) == {"entities": 30, "tasks": 60, "failures": 0}


def test_a_hook_that_fails_is_counted_and_keeps_no_other_from_it(engine: Engine) -> None:
    broken = ["e3"]

    def hook(eid: str, task: DataPointTask) -> list[DataPointTask]:
        if eid in broken:
            raise ValueError("not this one")
        return counts_in(eid, task)

    create(engine, *EIDS)
    message = ask(engine)
    engine.work(on_creation(hook))
    assert result(engine, message) == {"entities": 30, "tasks": 29, "failures": 1}
    (letter,) = engine.letters()
    assert (letter.letter.eid, letter.letter.reason) == ("e3", "ValueError: not this one")
    broken.clear()
    assert engine.order("retry", letter, on_creation(hook)) == {"done": True}
    assert engine.values("of-e3", "b") == {"p": 7}


def test_without_entities_or_hooks_there_is_nothing_to_do(engine: Engine) -> None:
    create(engine, *EIDS)
    messages = [ask(engine), ask(engine, "b")]
    engine.work(on_creation(counts_in, "b"))
    nothing = {"entities": 0, "tasks": 0, "failures": 0}
    assert [result(engine, message) for message in messages] == [nothing, nothing]


def test_a_type_that_is_gone_is_told(engine: Engine) -> None:
    message = ask(engine, "gone")
    engine.work()
    assert result(engine, message) == {"error": "there is no entity type 'gone'"}


def test_requests_follow_each_other(engine: Engine) -> None:
    create(engine, *EIDS)
    messages = [ask(engine), ask(engine)]
    engine.work(on_creation(counts_in))
    done = {"entities": 30, "tasks": 30, "failures": 0}
    assert [result(engine, message) for message in messages] == [done, done]


def test_each_worker_visits_its_own_entities(engine: Engine) -> None:
    create(engine, *EIDS)
    engine.send(delete("e0"))
    engine.work()
    for worker in (0, 1):
        with engine.worker(index=worker, processes=2) as driven:
            finish(driven)
    messages = [ask(engine, worker=worker) for worker in (0, 1)]
    results = []
    for worker in (0, 1):
        with engine.worker(on_creation(counts_in), index=worker, processes=2) as driven:
            finish(driven)
        results.append(result(engine, messages[worker]))
    assert all(found and found["entities"] > 0 for found in results)
    assert sum(found["entities"] for found in results if found) == 29


def test_data_and_other_messages_do_not_wait_for_a_slow_hook(engine: Engine) -> None:
    release, create_called = threading.Event(), threading.Event()

    def slow(eid: str, task: DataPointTask) -> None:
        create_called.set()
        release.wait(60)

    create(engine, "e0")
    message = ask(engine)
    with engine.worker(on_creation(slow)) as worker:
        while not create_called.is_set():
            worker.step()
        other = engine.store.control.send(0, "nonsense", {})
        engine.send(task("e0", obs(3)))
        for _ in range(10):
            worker.step()
        assert engine.values("e0")["o"] == [(3, 3)]
        assert "unknown action" in str(result(engine, other))
        assert result(engine, message) is None
        assert progress(engine, message) == {"entities": 0, "tasks": 0, "failures": 0}
        release.set()
        worker.finish()
    assert result(engine, message) == {"entities": 1, "tasks": 0, "failures": 0}


def test_a_worker_that_ends_in_the_midst_is_followed_by_one_that_goes_on(
    engine: Engine, enter: Enter
) -> None:
    enter(creation_pages(4))
    called: list[str] = []

    def hook(eid: str, task: DataPointTask) -> list[DataPointTask]:
        called.append(eid)
        return counts_in(eid, task)

    create(engine, *EIDS)
    message = ask(engine)
    for least in (5, 10, 15, 20, 25):
        with engine.worker(on_creation(hook)) as worker:
            while len(called) < least:
                worker.step()
    engine.work(on_creation(hook))
    done = result(engine, message)
    assert done == {"entities": 30, "tasks": 30, "failures": 0}
    told = [one.eid for one in engine.derived()]
    assert sorted(told) == sorted(f"of-{eid}" for eid in EIDS)
    assert len(called) < 30 + 5 * 4


def test_an_entity_whose_hook_ends_the_worker_again_and_again_is_left_out(engine: Engine) -> None:
    never = threading.Event()

    def hook(eid: str, task: DataPointTask) -> list[DataPointTask]:
        if eid == "e3":
            never.wait(60)
        return counts_in(eid, task)

    create(engine, *EIDS)
    message = ask(engine)
    for _ in range(7):
        worker = engine.start(on_creation(hook))
        for _ in range(100):
            worker.step()
        worker.stop(clean=False)
    engine.work(on_creation(hook))
    never.set()
    assert result(engine, message) == {"entities": 30, "tasks": 29, "failures": 1}
    (letter,) = [stored.letter for stored in engine.letters()]
    assert (letter.eid, letter.kind) == ("e3", "hook")


def test_a_full_disk_does_not_call_hooks_again(engine: Engine) -> None:
    called: list[str] = []
    refused = 0

    def refuse_some(write: Any, lease: Any, batch: Any) -> None:
        nonlocal refused
        if batch.tasks and refused < 3:
            refused += 1
            engine.clock.advance(1)
            raise StoreFull("no room")
        write(lease, batch)

    def hook(eid: str, task: DataPointTask) -> list[DataPointTask]:
        called.append(eid)
        return counts_in(eid, task)

    create(engine, *EIDS)
    message = ask(engine)
    with update_writes(engine.store, refuse_some), engine.worker(on_creation(hook)) as worker:
        while result(engine, message) is None:
            worker.step()
            engine.clock.advance(1)
    assert (refused, sorted(called)) == (3, sorted(EIDS))
