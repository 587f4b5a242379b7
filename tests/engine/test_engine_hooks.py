"""What hooks are called with, in which order, and what becomes of what they return."""

import threading
from collections import defaultdict
from contextlib import closing

import pytest

from dp3.model.partition import partition_of
from dp3.model.spec import ModelSpec
from kit.engine import Engine
from kit.place import PARTITIONS
from kit.points import delete, derived, obs, plain, task
from kit.specs import a_type, plain_attr


def failing(registrar, calls, fails=lambda: True):
    """One hook on `a.p` that derives `s`, or fails."""

    def derive(eid, dp):
        calls.append(dp.v)
        if fails():
            raise OSError("no answer")
        return [derived(eid, "s", dp.v * 10)]

    registrar.register_on_new_attr_hook(derive, "a", "p")


def returning(result):
    """Registers one hook on `a.p` that returns this."""

    def register(registrar):
        registrar.register_on_new_attr_hook(lambda eid, dp: result(eid), "a", "p")

    return register


def test_hooks_of_a_creating_task_run_in_the_documented_order(engine):
    calls = []

    def register(registrar):
        registrar.register_task_hook("on_task_start", lambda t: calls.append(("start", t.eid)))
        registrar.register_on_entity_creation_hook(creation, "a")
        registrar.register_on_new_attr_hook(lambda eid, dp: calls.append(("p", dp.v)), "a", "p")
        registrar.register_on_new_attr_hook(lambda eid, dp: calls.append(("s", dp.v)), "a", "s")

    def creation(eid, creating):
        calls.append(("create", eid))
        return [derived(eid, "s", 7)]

    engine.send(task("q", plain("p", 1), plain("p", 2)))
    engine.work(register)
    assert calls == [("start", "q"), ("create", "q"), ("p", 1), ("p", 2), ("start", "q"), ("s", 7)]
    calls.clear()
    engine.send(delete("q"))
    engine.work(register)
    assert calls == [("start", "q")]


def test_a_failing_hook_keeps_the_datapoint_and_leaves_a_dead_letter(engine):
    engine.send(task("q", plain("p", 1)))
    engine.work(lambda registrar: failing(registrar, []))
    assert engine.values("q") == {"p": 1}
    (stored,) = engine.letters()
    letter = stored.letter
    assert (letter.kind, letter.module, letter.etype, letter.eid) == ("hook", "m", "a", "q")
    assert "no answer" in letter.reason
    assert "OSError" in letter.traceback


def test_a_retry_calls_the_failed_hook_only_and_commits_its_results_as_the_letter_goes(engine):
    calls, others, sick = [], [], [True]

    def register(registrar):
        failing(registrar, calls, fails=lambda: sick[0])
        registrar.register_on_new_attr_hook(lambda eid, dp: others.append(dp.v), "a", "p")

    engine.send(task("q", plain("p", 1)))
    engine.work(register)
    (letter,) = engine.letters()
    result = engine.order("retry", letter, register)
    assert not result["done"]
    assert "no answer" in result["reason"]
    assert engine.letters() == [letter]
    sick[0] = False
    assert engine.order("retry", letter, register) == {"done": True}
    assert engine.letters() == []
    assert engine.values("q") == {"p": 1, "s": 10}
    assert (calls, others) == ([1, 1, 1], [1])


def test_a_dropped_letter_goes_without_any_call(engine):
    calls = []
    engine.send(task("q", plain("p", 1)))
    engine.work(lambda registrar: failing(registrar, calls))
    (letter,) = engine.letters()
    assert engine.order("drop", letter, lambda registrar: failing(registrar, calls)) == {"done": True}
    assert (engine.letters(), calls) == ([], [1])


def test_a_letter_whose_hook_is_gone_stays_when_retried(engine):
    engine.send(task("q", plain("p", 1)))
    engine.work(lambda registrar: failing(registrar, []))
    (letter,) = engine.letters()
    result = engine.order("retry", letter, lambda registrar: None)
    assert "is registered now" in result["reason"]
    assert engine.letters() == [letter]


@pytest.mark.parametrize(
    "result",
    [
        lambda eid: [derived(eid, "s", 5)],
        lambda eid: (derived(eid, "s", 5),),
        lambda eid: (derived(eid, "s", v) for v in [5]),
    ],
    ids=["list", "tuple", "generator"],
)
def test_tasks_may_come_in_any_collection(engine, result):
    engine.send(task("q", plain("p", 1)))
    engine.work(returning(result))
    assert engine.values("q") == {"p": 1, "s": 5}
    assert engine.letters() == []


def test_none_means_no_tasks(engine):
    engine.send(task("q", plain("p", 1)))
    engine.work(returning(lambda eid: None))
    assert engine.values("q") == {"p": 1}
    assert engine.letters() == []


@pytest.mark.parametrize("rubbish", [5, "text", {"a": 1}])
def test_a_hook_that_returns_something_else_leaves_a_dead_letter(engine, rubbish):
    engine.send(task("q", plain("p", 1)))
    engine.work(returning(lambda eid: rubbish))
    assert engine.values("q") == {"p": 1}
    assert [stored.letter.kind for stored in engine.letters()] == ["result"]


def spoilt(eid):
    """A task that can not be written down any more."""
    broken = derived(eid, "s", 7)
    broken.tags = [object()]
    return broken


@pytest.mark.parametrize("bad", [lambda eid: None, spoilt], ids=["no task", "task that can not be encoded"])
def test_good_tasks_beside_a_bad_one_take_effect_once_when_a_retry_finds_all_of_them_good(engine, bad):
    calls, sick = [], [True]

    def register(registrar):
        def count(eid, dp):
            calls.append(dp.v)

        def derive(eid, dp):
            made = derived(eid, "s", 5)
            return [made, bad(eid)] if sick[0] else [made]

        registrar.register_on_new_attr_hook(derive, "a", "p")
        registrar.register_on_new_attr_hook(count, "a", "s")

    engine.send(task("q", plain("p", 1)))
    engine.work(register)
    (letter,) = engine.letters()
    assert (engine.values("q"), calls) == ({"p": 1}, [])
    sick[0] = False
    assert engine.order("retry", letter, register) == {"done": True}
    assert (engine.values("q"), calls) == ({"p": 1, "s": 5}, [5])


def test_a_retry_takes_effect_also_after_the_state_was_replaced_by_an_older_copy(engine):
    sick = [True]

    def register(registrar):
        failing(registrar, [], fails=lambda: sick[0])

    neighbours = [eid for eid in map(str, range(50)) if partition_of("a", eid, PARTITIONS) == 0]
    for eid in neighbours[:2]:
        sick[0] = True
        engine.send(task(eid, plain("p", 1)))
        engine.work(register)
        (letter,) = engine.letters()
        sick[0] = False
        engine.clock.advance(1)
        assert engine.order("retry", letter, register) == {"done": True}
        assert engine.values(eid) == {"p": 1, "s": 10}
        engine.lose_state()
        engine.work()


def test_what_a_retried_hook_derives_too_deep_is_set_aside_not_lost(engine):
    sick = [True]

    def register(registrar):
        failing(registrar, [], fails=lambda: sick[0])

    engine.send(task("q", plain("p", 1)))
    engine.work(register, generations=0)
    (letter,) = engine.letters()
    sick[0] = False
    assert engine.order("retry", letter, register, generations=0) == {"done": True}
    assert [stored.letter.kind for stored in engine.letters()] == ["generation"]


def test_a_refused_entity_is_not_created_and_its_task_is_not_listed_as_raw(engine):
    def register(registrar):
        registrar.register_allow_entity_creation_hook(lambda eid, task: eid.startswith("1"), "a")

    engine.send(task("1", plain("p", 1)), task("2", plain("p", 2)), task("2", plain("p", 3), etype="b"))
    engine.work(register)
    assert (engine.values("1"), engine.master("2"), engine.values("2", "b")) == ({"p": 1}, {}, {"p": 3})
    assert [row["id"] for row in engine.raw("a")] == ["1"]
    assert engine.raw_count("b") == 1


def test_a_failing_allow_hook_allows(engine):
    def fail(eid, task):
        raise OSError("no answer")

    engine.send(task("q", plain("p", 1)))
    engine.work(lambda registrar: registrar.register_allow_entity_creation_hook(fail, "a"))
    assert engine.values("q") == {"p": 1}
    assert [stored.letter.kind for stored in engine.letters()] == ["hook"]


def test_an_allow_hook_is_asked_again_after_the_entity_was_deleted(engine):
    answers = iter([True, False])

    def register(registrar):
        registrar.register_allow_entity_creation_hook(lambda eid, task: next(answers), "a")

    engine.send(task("q", plain("p", 1)), delete("q"), task("q", plain("p", 2)))
    engine.work(register)
    assert engine.master("q") == {}


def test_hooks_that_trigger_each_other_end_in_a_dead_letter(engine, caplog):
    calls = []

    def register(registrar):
        registrar.register_on_new_attr_hook(loop, "a", "p")

    def loop(eid, dp):
        calls.append(dp.v)
        return [derived(eid, "p", dp.v + 1)]

    engine.send(task("q", plain("p", 0)))
    engine.work(register, generations=3)
    assert calls == [0, 1, 2, 3]
    assert [stored.letter.kind for stored in engine.letters()] == ["generation"]
    assert "failed for a/q at " in caplog.text and "do hooks trigger each other?" in caplog.text


def test_what_a_hook_changes_in_its_task_is_not_stored(engine):
    def change(creating):
        creating.data_points[0].v = 99

    engine.send(task("q", plain("p", 1)))
    engine.work(lambda registrar: registrar.register_task_hook("on_task_start", change))
    assert engine.values("q") == {"p": 1}


def test_a_batch_with_slow_hooks_ends_when_its_time_is_over(engine):
    def register(registrar):
        registrar.register_on_new_attr_hook(lambda eid, dp: None, "a", "p")

    offsets = [engine.send(task(f"e{n}", plain("p", n))) for n in range(20)]
    with engine.worker(register, batch_s=1e-9) as driven:
        assert driven.step()
        reached = engine.position()
        assert offsets[0] <= reached < offsets[-1]
        driven.finish()
    assert engine.position() == offsets[-1]
    assert engine.store.entities.counts()["a"] == 20


def test_hooks_of_one_entity_run_in_order_though_spread_over_threads(engine):
    seen, threads = defaultdict(list), set()
    together = threading.Barrier(4, timeout=20)

    def meet(eid, creating):
        together.wait()

    def note(eid, dp):
        threads.add(threading.get_ident())
        seen[eid].append(dp.v)

    def register(registrar):
        registrar.register_on_entity_creation_hook(meet, "a")
        registrar.register_on_new_attr_hook(note, "a", "o")

    for number in range(40):
        engine.send(task(f"e{number % 4}", obs(number)))
    engine.work(register, threads=4)
    assert dict(seen) == {f"e{n}": list(range(n, 40, 4)) for n in range(4)}
    assert len(threads) >= 4


def test_a_hook_is_named_by_module_and_function_in_its_letter(engine):
    def surely_this_one(eid, dp):
        raise ValueError("no")

    engine.send(task("q", plain("p", 1)))
    engine.work(lambda registrar: registrar.register_on_new_attr_hook(surely_this_one, "a", "p"))
    assert "surely_this_one" in engine.letters()[0].letter.hook


def test_a_hook_that_makes_too_large_a_value_leaves_a_dead_letter_in_its_name_and_nothing_else(tmp_path):
    model = ModelSpec({"a": a_type("a", {"p": plain_attr("int"), "t": plain_attr("string")})})

    def too_large(eid):
        return [derived(eid, "p", 2, model=model), derived(eid, "t", "x" * (1 << 20), model=model)]

    with closing(Engine(tmp_path, model)) as engine:
        engine.send(task("q", plain("p", 1)))
        engine.work(returning(too_large))
        assert engine.values("q") == {"p": 1}
        (stored,) = engine.letters()
        assert (stored.letter.module, stored.letter.eid) == ("m", "q")
        assert (
            "a.t: the value has 1048578 bytes of JSON, more than 1048576 (max_value)" in stored.letter.reason
        )
