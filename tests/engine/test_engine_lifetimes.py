"""Lifetimes: when entities end, and what becomes of links to them."""

import pytest
from lives import Lives, lives, point
from naive_lives import DAY

from dp3.log.port import Lane
from dp3.model.partition import partition_of
from dp3.model.spec import ModelSpec
from kit.faults import weak_reads
from kit.points import plain as value
from kit.points import task
from kit.specs import a_type, plain_attr

DEV, TAG, BARE, PORT = ("dev", "dev0"), ("tag", "tag0"), ("bare", "bare0"), ("port", "port0")
ANOTHER_PORT = ("port", "port1")


def link(ref):
    return {"eid": ref[1]}


@pytest.fixture
def both():
    with lives() as both:
        yield both


@pytest.fixture
def pair():
    """With two workers."""
    with lives(2) as both:
        yield both


def lasts(both: Lives, ref: tuple[str, str]) -> int:
    """After how many days a collection deletes an entity."""
    for days in range(40):
        both.settle()
        if both.shown(ref) is None:
            return days
        both.wait(24)
    raise AssertionError("it lives on")


@pytest.mark.parametrize(
    ("etype", "attr", "end_in_hours", "days"),
    [
        ("dev", "q", 0, 5),
        ("dev", "n", 0, 5),
        ("dev", "o", 5 * 24, 7),
        ("dev", "m", -10 * 24, 10),
        ("dev", "ts", 0, 9),
        ("bare", "m", 100 * 24, 1),
        ("bare", "n", 0, 3),
        ("bare", "o", 24, 5),
    ],
    ids=lambda given: str(given),
)
def test_an_entity_lives_as_long_as_it_got_at_creation_or_as_its_data_keeps_it(
    both, etype, attr, end_in_hours, days
):
    ref = (etype, f"{etype}0")
    both.put(ref, attr, {"n": [1]} if attr == "ts" else 1, end_in_hours)
    assert lasts(both, ref) == days


def test_any_token_keeps_an_entity_whatever_its_name(both):
    for name in ("a.b", "", "$x", "žár", "#ttl"):
        both.token(DEV, name, 8 * 24)
    assert set(both.naive.lives[DEV].tokens) == {"base", "a.b", "", "$x", "žár", "#ttl"}
    assert lasts(both, DEV) == 8


def test_a_token_can_only_be_moved_later(both):
    both.token(DEV, "x", 8 * 24)
    both.token(DEV, "x", 24)
    assert lasts(both, DEV) == 8


def test_single_tokens_go_when_they_are_over(both):
    both.token(DEV, "x", 10)
    both.wait(24)
    assert both.engine.count("ttl") == 1


def test_an_entity_with_nothing_but_a_token_is_one_as_any_other(both):
    both.token(BARE, "x", 1)
    both.settle()
    both.compare()
    assert lasts(both, BARE) == 1


def test_tokens_do_not_end_immortal_entities(both):
    both.token(TAG, "x", -5)
    both.wait(24 * 60)
    both.wait(24 * 60)
    both.compare()
    assert both.shown(TAG) is not None


def test_entities_made_while_their_type_was_immortal_have_no_token_and_stay(both):
    both.end()
    immortal = ModelSpec({"dev": _immortal("dev")})
    both.engine.send(task("dev0", value("n", 1), etype="dev"))
    both.engine.work(model=immortal)
    both.start(1)
    both.engine.clock.advance(100 * 24 * 3600)
    both.settle()
    assert both.shown(DEV) is not None


def _immortal(etype):
    return a_type(etype, {"n": plain_attr("int")})


def test_a_collection_says_what_it_found(both):
    both.put(DEV, "q", 1)
    both.put(PORT, "n", 1)
    both.token(("dev", "dev1"), "x", 1)
    both.token(("dev", "dev1"), "y", 24 * 30)
    both.wait(24 * 6)
    both.wait(24)
    later, first = both.engine.store.lifetimes.collections(10)
    assert (first.phase, first.expired, first.tokens, first.unreferenced) == ("done", 1, 2, 0)
    assert (later.phase, later.expired, later.tokens, later.unreferenced) == ("done", 0, 0, 1)


# -- weak entities -----------------------------------------------------------------------------------------
def test_a_weak_entity_goes_when_nothing_referred_to_it_at_two_collections_in_a_row(both):
    both.put(PORT, "n", 1)
    both.wait(24)
    assert both.shown(PORT) is not None
    both.wait(24)
    assert both.shown(PORT) is None


def test_a_link_in_between_saves_it(both):
    both.put(PORT, "n", 1)
    both.wait(24)
    both.put(TAG, "used", link(PORT), end=-40)
    both.wait(24)
    assert both.shown(PORT) is not None
    both.wait(24)
    assert both.shown(PORT) is not None, "the link ended, so it is the first time in a row"
    both.wait(24)
    assert both.shown(PORT) is None


def test_chains_of_weak_entities_end_link_by_link(both):
    both.put(PORT, "port", link(ANOTHER_PORT))
    both.put(ANOTHER_PORT, "n", 1)
    assert lasts(both, PORT) == 2
    assert both.shown(ANOTHER_PORT) is not None
    assert lasts(both, ANOTHER_PORT) == 2


def test_a_weak_entity_stays_while_somebody_has_not_read_what_was_there_at_the_first_collection(pair):
    source = next(("tag", f"tag{n}") for n in range(9) if owner(("tag", f"tag{n}")) != owner(PORT))
    mine, other = (pair.workers[index] for index in (owner(PORT), owner(source)))
    pair.put(PORT, "n", 1)
    pair.settle()
    pair.put(source, "port", link(PORT))
    for _ in range(3):
        pair.engine.clock.advance(24 * 3600)
        mine.finish()
    assert pair.shown(PORT) is not None
    other.finish()
    pair.engine.clock.advance(24 * 3600)
    mine.finish()
    assert pair.shown(PORT) is not None


def test_a_link_that_becomes_known_while_a_weak_entity_is_looked_at_saves_it(pair):
    source = next(("tag", f"tag{n}") for n in range(9) if owner(("tag", f"tag{n}")) != owner(PORT))
    mine, other = (pair.workers[index] for index in (owner(PORT), owner(source)))
    pair.put(PORT, "n", 1)
    pair.put(source, "port", link(PORT))
    pair.engine.clock.advance(24 * 3600)
    mine.finish()
    waiting = [other]

    def look_while_the_other_goes_on(look, *arguments):
        *page, candidates = look(*arguments)
        if candidates and waiting:
            waiting.pop().finish()
        return *page, candidates

    with weak_reads(pair.engine.store, look_while_the_other_goes_on):
        pair.engine.clock.advance(24 * 3600)
        mine.finish()
    assert pair.shown(PORT) is not None


def owner(ref):
    etype, eid = ref
    return partition_of(etype, eid, 8) % 2


# -- links to deleted entities -------------------------------------------------------------------------------
def linked(both, known=True):
    both.put(TAG, "one", link(DEV))
    both.put(TAG, "many", [link(("dev", "dev1")), link(DEV)])
    both.put(TAG, "near", link(DEV), end=1)
    both.put(TAG, "near", link(("dev", "dev1")), end=1)
    if known:
        both.put(DEV, "q", 1)
    both.settle()


def profile_for_runs(both):
    """What snapshot runs and periodic hooks read."""
    store = both.engine.store
    ((key, _),) = store.entities.find([(store.names.etype_id("tag"), "tag0")]).values()
    profile = store.entities.decode_profile(store.entities.profiles([key], whole=True)[key])
    plain = {attr: store.entities.decode_value(v) for attr, _, _, v in profile.plain}
    observed = {attr: sorted(points) for attr, points in profile.observed}
    return plain, observed


def test_readers_do_not_see_links_to_what_was_deleted_though_they_are_still_stored(both):
    linked(both)
    both.naive.delete([DEV], both.send(DEV, delete=True))
    both.work()
    seen, read = both.shown(TAG), profile_for_runs(both)
    stored = both.engine.count("plain") + both.engine.count("fresh")
    assert seen == both.expected(TAG)
    assert seen["plain"] == {"many": [link(("dev", "dev1"))]}
    both.settle()
    both.compare()
    assert (seen, read) == (both.shown(TAG), profile_for_runs(both))
    assert both.engine.count("plain") + both.engine.count("fresh") == stored - 2


def test_links_of_an_attribute_go_though_the_model_does_not_know_it_now(both):
    linked(both)
    both.end()
    both.send(DEV, delete=True)
    both.engine.work(model=ModelSpec({etype: _immortal(etype) for etype in ("dev", "tag")}))
    both.start(1)
    both.settle()
    shown = both.shown(TAG)
    assert shown["plain"] == {"many": [link(("dev", "dev1"))]}
    assert len(shown["history"]) == 1


def test_a_link_that_had_ended_stays_in_history(both):
    both.send(TAG, points=[seen_until(both.now - 2 * DAY - 1)])
    both.send(("tag", "tag1"), points=[value("one", link(DEV))])
    both.send(DEV, points=[value("q", 1)])
    both.send(DEV, delete=True)
    both.work()
    assert both.engine.count("tombstone") == 1
    assert len(both.shown(TAG)["history"]) == 1
    both.settle()
    assert len(both.shown(TAG)["history"]) == 1


def test_a_link_that_is_sent_after_the_deletion_stays(both):
    linked(both)
    both.send(DEV, delete=True)
    both.send(TAG, points=[value("one", link(DEV)), seen_until(both.now)])
    both.work()
    while_some_are_stored = both.shown(TAG)
    both.settle()
    assert both.shown(TAG) == while_some_are_stored
    assert both.shown(TAG)["plain"]["one"] == link(DEV)
    assert len(both.shown(TAG)["history"]) == 2


def test_links_to_what_has_no_data_go_with_its_deletion(both):
    linked(both, known=False)
    both.delete(DEV)
    both.compare()
    assert both.shown(TAG)["plain"] == {"many": [link(("dev", "dev1"))]}
    assert both.naive.lives.keys() == {TAG}


def test_links_that_came_after_a_first_deletion_go_with_the_second_one(both):
    linked(both)
    both.delete(DEV)
    both.put(TAG, "one", link(DEV))
    both.put(TAG, "near", link(DEV))
    both.settle()
    assert both.shown(TAG)["plain"]["one"] == link(DEV)
    both.delete(DEV)
    both.compare()
    assert "one" not in both.shown(TAG)["plain"]


def test_a_second_deletion_takes_later_links_along_while_the_first_one_is_still_being_carried_out(both):
    linked(both)
    both.send(DEV, delete=True)
    both.send(TAG, points=[value("one", link(DEV)), seen_until(both.now)])
    both.work()
    assert both.engine.count("tombstone") == 1
    both.send(DEV, delete=True)
    both.put(TAG, "n", 1)
    both.work()
    at_once = both.shown(TAG)
    both.settle()
    assert both.shown(TAG) == at_once
    assert at_once["plain"] == {"many": [link(("dev", "dev1"))], "n": 1}
    assert both.engine.count("tombstone") == 0


def test_deleting_what_nobody_knows_leaves_nothing_behind(both):
    both.put(TAG, "n", 1)
    both.delete(DEV)
    assert both.engine.count("tombstone") == 0
    assert both.engine.log.head(Lane.DERIVED).offset == 0


def test_a_link_that_was_packed_after_the_deletion_stays_when_an_older_state_reads_the_log_again(both):
    linked(both)
    both.end()
    both.engine.remember_state()
    both.start(1)
    both.send(DEV, delete=True)
    both.settle()
    both.send(DEV, points=[value("q", 2)])
    both.send(TAG, points=[seen_until(both.now)])
    both.settle()
    both.workers[0].request_upkeep()
    both.settle()
    assert (both.engine.count("fresh"), both.engine.count("packed")) == (0, 2)
    assert len(referrers(both)) == 1
    both.end()
    both.engine.fall_back()
    both.start(1)
    both.settle()
    both.workers[0].request_upkeep()
    both.settle()
    assert both.engine.count("tombstone") == 0
    assert (both.engine.count("fresh"), both.engine.count("packed"), len(referrers(both))) == (0, 2, 1)


def referrers(both):
    """Who has `near` links that hold."""
    store = both.engine.store
    target, near = (store.names.etype_id("dev"), DEV[1]), store.names.attr_id("tag", "near")
    return store.links.incoming([target], [near], both.now)[target]


def seen_until(end):
    return point("near", link(DEV), end)


def test_a_link_that_is_read_after_the_deletion_though_it_was_sent_before_goes_too(pair):
    source = next(("tag", f"tag{n}") for n in range(9) if owner(("tag", f"tag{n}")) != owner(DEV))
    mine, other = (pair.workers[index] for index in (owner(DEV), owner(source)))
    pair.put(DEV, "q", 1)
    pair.settle()
    pair.send(source, points=[value("one", link(DEV)), seen_until(pair.now)])
    pair.send(DEV, delete=True)
    mine.finish()
    assert pair.engine.count("tombstone") == 1
    other.finish()
    pair.settle()
    assert pair.shown(source) == {"plain": {}, "history": [], "tokens": {}}


def test_what_is_on_its_way_while_an_entity_ends_makes_it_anew_and_its_links_stay(both):
    both.put(DEV, "n", 1)
    both.settle()
    both.engine.clock.advance(24 * 3600 * 9)
    both.work()
    assert both.engine.store.lifetimes.collections(1)[0].expired == 1
    both.send(DEV, points=[value("q", 2)])
    both.send(TAG, points=[value("one", link(DEV))])
    both.workers[0].drain()
    both.settle()
    assert both.shown(DEV)["plain"] == {"q": 2}
    assert both.shown(TAG)["plain"] == {"one": link(DEV)}


def test_a_token_that_comes_before_it_is_read_that_an_entity_is_over_saves_it(both):
    both.put(DEV, "n", 1)
    both.settle()
    both.engine.clock.advance(24 * 3600 * 9)
    both.work()
    both.send(DEV, ttl_tokens={"x": both.now + DAY})
    both.work()
    both.settle()
    assert both.shown(DEV)["plain"] == {"n": 1}


def test_nothing_is_kept_of_deleted_entities_that_nobody_has_links_to(both):
    both.put(BARE, "n", 1)
    both.settle()
    both.send(BARE, delete=True)
    both.work()
    assert both.engine.count("tombstone") == both.engine.count("lifetime") == 0
    assert both.engine.log.head(Lane.DERIVED).offset == 0


def test_what_is_deleted_again_and_again_is_forgotten_in_the_end(both):
    for _ in range(3):
        linked(both)
        both.send(DEV, delete=True)
    both.settle()
    assert both.engine.count("tombstone") == 0
    assert both.engine.log.head(Lane.DERIVED).offset > 0
