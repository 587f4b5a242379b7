"""What tasks do to profiles, in one batch or over several."""

import pytest

from dp3.clock import to_datetime
from dp3.log.port import Lane
from dp3.model.spec import ModelSpec
from kit.limits import decoding_s
from kit.points import SECOND, START_US, config, delete, derived, obs, plain, task


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "several batches"])
def test_an_entity_created_again_after_its_deletion_knows_nothing_of_before(engine, together):
    for item in (task("q", plain("p", 1), obs(1)), delete("q"), task("q", plain("s", 2), obs(2))):
        engine.send(item)
        if not together:
            engine.work()
    engine.work()
    assert engine.values("q") == {"s": 2, "o": [(2, 2)]}
    assert engine.store.entities.counts()["a"] == 1


def test_deleting_what_does_not_exist_changes_nothing(engine):
    engine.send(delete("q"))
    engine.work()
    assert engine.master("q") == {}
    assert engine.letters() == []


def test_a_task_with_nothing_but_ttl_creates_a_proper_entity(engine):
    calls = []
    engine.send(task("q", ttl_tokens={"x": START_US}))
    engine.work(lambda r: r.register_on_entity_creation_hook(lambda eid, t: calls.append(eid), "a"))
    master = engine.master("q")
    assert master["#ttl"] == {"x": to_datetime(START_US)}
    assert master["#time_created"]
    assert (calls, engine.store.entities.counts()["a"]) == (["q"], 1)


def test_a_ttl_token_is_only_moved_later(engine):
    for second in (5, 9, 7):
        engine.send(task("q", ttl_tokens={"x": START_US + second * SECOND}))
    engine.work()
    assert engine.master("q")["#ttl"] == {"x": to_datetime(START_US + 9 * SECOND)}


def test_the_value_of_a_plain_attribute_is_the_last_one_processed(engine):
    engine.send(task("q", plain("p", 1), plain("p", 2)), task("q", plain("p", 3)))
    engine.work()
    assert engine.values("q") == {"p": 3}


def test_an_attribute_that_left_the_model_costs_its_datapoint_only(engine):
    engine.send(task("q", plain("p", 1), plain("s", 2), obs(3)))
    engine.work(model=ModelSpec(config("p")))
    assert engine.values("q") == {"p": 1, "o": [(3, 3)]}
    (stored,) = engine.letters()
    assert (stored.letter.kind, stored.letter.eid) == ("task", "q")
    assert "a.s" in stored.letter.reason


def test_an_attribute_that_became_another_kind_costs_its_datapoint_only(engine):
    engine.send(task("q", plain("p", 1), plain("o", 2)))
    engine.work(lambda registrar: registrar.register_task_hook("on_task_start", lambda t: None))
    assert engine.values("q") == {"p": 1}
    assert ["a.o" in stored.letter.reason for stored in engine.letters()] == [True]


def test_an_entity_type_that_left_the_model_leaves_a_dead_letter(engine):
    engine.send(task("q", plain("p", 1), etype="gone"), task("q", plain("p", 2)))
    engine.work()
    assert engine.values("q") == {"p": 2}
    (stored,) = engine.letters()
    assert "'gone' is not in the model" in stored.letter.reason


def test_the_log_tells_of_tasks_that_are_set_aside_the_first_and_the_tenth_time(engine, caplog):
    for number in range(12):
        engine.send(task(f"q{number}", plain("p", 1), etype="gone"))
    engine.work()
    told = [record.getMessage() for record in caplog.records if record.name == "dp3.hooks.failures"]
    reason = "entity type 'gone' is not in the model"
    assert told == [
        f"a task was set aside for gone/q0: {reason}",
        f"a task was set aside 10 times, now for gone/q9: {reason}",
    ]


def test_a_rejected_datapoint_is_stored_by_a_retry_with_the_model_that_knows_it(engine):
    engine.send(task("q", plain("p", 1), plain("s", 2)))
    engine.work(model=ModelSpec(config("p")))
    (letter,) = engine.letters()
    assert engine.order("retry", letter, lambda registrar: None) == {"done": True}
    assert engine.values("q") == {"p": 1, "s": 2}
    assert engine.letters() == []


def deriving(registrar):
    registrar.register_on_new_attr_hook(lambda eid, dp: [derived("x", "p", dp.v, "b")], "a", "p")


def test_derived_tasks_go_through_the_log_and_are_listed_as_raw(engine):
    engine.send(task("q", plain("p", 1)))
    engine.work(deriving)
    assert engine.values("x", "b") == {"p": 1}
    assert engine.log.head(Lane.DERIVED).offset > 0
    assert engine.raw_count("b") == 1


def test_an_outbox_drained_twice_adds_nothing(engine):
    engine.send(task("q", plain("p", 1)))
    with engine.worker(deriving) as driven:
        driven.step()
        assert driven.drain()
    head = engine.log.head(Lane.DERIVED)
    with engine.worker(deriving) as driven:
        assert driven.drain()
    assert engine.log.head(Lane.DERIVED) == head
    engine.work(deriving)
    assert engine.log.head(Lane.DERIVED) == head


def test_reading_everything_again_changes_neither_profiles_nor_derived_tasks(engine):
    for number in range(5):
        engine.send(task(f"e{number}", plain("p", number), obs(number)), delete("e0"))
    engine.work(deriving)
    before = [engine.master(f"e{n}") for n in range(5)], engine.master("x", "b")
    head = engine.log.head(Lane.DERIVED)
    engine.lose_state()
    engine.work(deriving)
    assert ([engine.master(f"e{n}") for n in range(5)], engine.master("x", "b")) == before
    assert engine.log.head(Lane.DERIVED) == head


def test_a_worker_that_owns_partitions_at_different_positions_applies_every_entry_once(engine):
    with_two = {"processes": 2}
    for number in range(16):
        engine.send(task(f"e{number}", obs(number)))
    engine.work(index=0, **with_two)
    engine.send(task("late", obs(99)))
    calls = []
    engine.work(lambda r: r.register_task_hook("on_task_start", lambda t: calls.append(t.eid)))
    assert engine.store.entities.counts()["a"] == 17
    assert all(engine.values(f"e{n}") == {"o": [(n, n)]} for n in range(16))
    assert 1 <= len(calls) < 17
    assert len(calls) == len(set(calls))


def test_a_creation_hook_takes_effect_once_though_derived_tasks_are_read_again_before_their_causes(engine):
    def register(registrar):
        registrar.register_on_entity_creation_hook(lambda eid, t: [derived("x", "p", 1, "b")], "a")
        registrar.register_on_new_attr_hook(lambda eid, dp: [derived(eid, "s", 1)], "a", "p")

    engine.send(task("q", plain("p", 1)))
    engine.work(register)
    before = engine.master("q"), engine.raw_count("b")
    engine.lose_state()
    engine.work(register)
    assert (engine.master("q"), engine.raw_count("b")) == before


# -- a damaged log -------------------------------------------------------------------------------------


DAMAGE = {
    "slice": (lambda body: body[:8] + b"\xc1" * (len(body) - 8), "damaged slice of"),
    "nested slice": (lambda body: body[:8] + b"\x91" * (len(body) - 8), "damaged slice of"),
    "body": (lambda body: body[:-3], "entry 2 is damaged: damaged body"),
}


def assert_set_aside_alone(engine, bad, reason):
    """Of three observations of an entity, the one in the middle is a dead letter with this reason."""
    for index in range(2):
        engine.work(index=index, processes=2)
    assert engine.values("q") == {"o": [(0, 0), (2, 2)]}
    (stored,) = engine.letters()
    assert (stored.letter.kind, stored.letter.task, stored.letter.context["offset"]) == ("entry", b"", bad)
    assert stored.letter.reason.startswith(reason)
    assert engine.raw_count("a") == 2


@pytest.mark.parametrize("what", DAMAGE)
def test_a_log_entry_that_can_not_be_decoded_is_set_aside_alone(engine, what):
    change, reason = DAMAGE[what]
    _, bad, _ = (engine.send(task("q", obs(number))) for number in range(3))
    engine.room.change_body(bad, change)
    assert_set_aside_alone(engine, bad, reason)


@pytest.mark.files
def test_a_log_entry_that_does_not_fit_its_checksum_is_set_aside_alone(engine):
    _, bad, _ = (engine.send(task("q", obs(number))) for number in range(3))
    flipped = lambda body: body[:-1] + bytes([body[-1] ^ 1])  # noqa: E731
    engine.room.change_body(bad, flipped, fits_checksum=False)
    assert_set_aside_alone(engine, bad, "entry 2 is damaged: its bytes are not")


def test_a_letter_without_a_task_can_be_dropped_but_not_retried(engine):
    engine.room.change_body(engine.send(task("q", obs(1))), lambda body: body[:-1])
    engine.work()
    (letter,) = engine.letters()
    result = engine.order("retry", letter)
    assert (result["done"], "can not be decoded" in result["reason"]) == (False, True)
    assert engine.order("drop", letter) == {"done": True}
    assert engine.letters() == []


def test_damage_behind_the_end_of_a_batch_is_reported_with_its_own_batch(engine):
    offsets = [engine.send(task(f"e{number}", plain("p", number))) for number in range(20)]
    engine.room.change_body(offsets[-1], lambda body: body[:-1])

    def register(registrar):
        registrar.register_on_new_attr_hook(lambda eid, dp: None, "a", "p")

    with engine.worker(register, batch_s=1e-9) as driven:
        driven.step()
        assert engine.letters() == []
        driven.finish()
    assert len(engine.letters()) == 1


def test_entries_that_take_long_to_decode_are_processed_one_by_one(engine, enter):
    enter(decoding_s(-1))
    for number in range(3):
        engine.send(task("q", plain("p", number), obs(number)))
    engine.work()
    assert engine.values("q") == {"p": 2, "o": [(0, 0), (1, 1), (2, 2)]}
    assert engine.store.counters.all()["batches"] == 3
