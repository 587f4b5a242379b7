"""Questions about the newest snapshots: rules that every answer keeps."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import msgspec
import pytest

from dp3.store.patterns import Search, compile_pattern
from dp3.store.ports.batches import Batch
from dp3.store.ports.errors import QueryTooLarge, QueryTooSlow
from dp3.store.ports.leases import Lease
from dp3.store.ports.queries import (
    EVERYTHING,
    And,
    Between,
    Not,
    OneOf,
    Or,
    Order,
    TextMatches,
    Where,
)
from kit.rows import entity_row, take_lease
from kit.run_rows import a_run, close, completed, indexed, with_snapshots, written


@pytest.fixture
def people(store: Any, lease: Lease) -> Any:
    """Four people in a type `p`, by number as eid; `tags` of the fourth are missing."""
    entities = {
        1: {"eid": {1}, "name": {"ann"}, "age": {30}, "tags": {"a", "b"}},
        2: {"eid": {2}, "name": {"bob"}, "age": {25.5}, "tags": {"b"}},
        3: {"eid": {3}, "name": {"cyd"}, "age": {30}, "tags": {7, "a"}},
        10: {"eid": {10}, "name": {"dan"}, "age": {61}},
    }
    with_snapshots(store, lease, a_run(store, 1000), "p", entities)
    return store


def eids(store: Any, where: Where = EVERYTHING, *order: Order, **page: Any) -> list[str]:
    return [found.eid for found in store.queries.find("p", where, order, **page)]


def test_without_an_order_entities_come_by_eid_as_it_is_typed(people: Any) -> None:
    assert eids(people) == ["1", "2", "3", "10"]


def test_equal_places_in_an_order_are_by_eid(people: Any) -> None:
    assert eids(people, EVERYTHING, Order("age")) == ["2", "1", "3", "10"]
    assert eids(people, EVERYTHING, Order("age", descending=True)) == ["10", "1", "3", "2"]


def test_without_a_key_an_entity_comes_first_and_last_when_descending(people: Any) -> None:
    assert eids(people, EVERYTHING, Order("tags"))[0] == "10"
    assert eids(people, EVERYTHING, Order("tags", descending=True))[-1] == "10"


def test_numbers_are_equal_whatever_their_type(people: Any) -> None:
    assert eids(people, OneOf("age", (30.0,))) == ["1", "3"]
    assert eids(people, OneOf("age", ("30",))) == []


def test_a_range_finds_keys_of_the_kind_of_its_bounds_only(people: Any) -> None:
    assert eids(people, Between("tags", low=0)) == ["3"]
    assert eids(people, Between("tags", high="a")) == ["1", "3"]
    assert eids(people, Between("tags", low=0, high="z")) == []
    assert eids(people, Between("tags", low=b"")) == []


def test_a_range_without_bounds_is_a_mistake(people: Any) -> None:
    with pytest.raises(ValueError, match="a range of 'age' needs a lower or an upper bound"):
        people.queries.find("p", Between("age"))


def test_negation_holds_for_entities_without_a_key(people: Any) -> None:
    assert eids(people, Not(OneOf("tags", ("a",)))) == ["2", "10"]


@pytest.fixture
def tested(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts in which a pattern is searched, one by one."""
    found: list[str] = []

    def noting(pattern: str, flags: str) -> Search:
        search = compile_pattern(pattern, flags)
        return lambda text: bool(found.append(text)) or search(text)

    monkeypatch.setattr("dp3.store.sql.conditions.compile_pattern", noting)
    return found


def test_a_text_is_tested_once_for_each_different_key(people: Any, tested: list[str]) -> None:
    assert eids(people, TextMatches("tags", "^b$")) == ["1", "2"]
    assert sorted(tested) == ["a", "b"]


def test_many_texts_are_tested_together_first(store: Any, lease: Lease, tested: list[str]) -> None:
    entities = {n: {"eid": {n}, "name": {f"name-{n:04d}"}} for n in range(1, 2501)}
    with_snapshots(store, lease, a_run(store, 1000), "p", entities)
    assert eids(store, TextMatches("name", "^name-1234$")) == ["1234"]
    assert len(tested) <= 16


def test_a_text_that_many_have_is_tested_once(store: Any, lease: Lease, tested: list[str]) -> None:
    entities = {n: {"eid": {n}, "os": {"a" if n < 3 else "b" if n < 2500 else "c"}} for n in range(1, 2600)}
    with_snapshots(store, lease, a_run(store, 1000), "p", entities)
    assert store.queries.count("p", TextMatches("os", "\\A[^b]")) == 102
    assert store.queries.count("p", TextMatches("os", "[^b]")) == 102
    assert tested == ["a", "b", "c", "a", "c"], "that no line matches was found before"


def test_texts_may_be_anything(store: Any, lease: Lease, tested: list[str]) -> None:
    names = ["", "\0", "\n", '"', "\\", "\x1f\x7f", "é", "\uffff", "\U0010ffff", "a\nb", "x" * 1000]
    entities = {n: {"eid": {n}, "name": {name}} for n, name in enumerate(names, 1)}
    with_snapshots(store, lease, a_run(store, 1000), "p", entities)
    assert eids(store, TextMatches("name", "\\Anobody has this name")) == []
    assert sorted(tested) == sorted(names)


def test_thousands_of_values_can_be_asked_for_at_once(people: Any) -> None:
    many = tuple(range(2, 50_000))
    assert eids(people, OneOf("eid", many)) == ["2", "3", "10"]
    assert people.queries.count("p", And((OneOf("eid", many), OneOf("age", (30,))))) == 1


def test_lists_of_many_megabytes_can_be_asked_for(people: Any) -> None:
    lists = [OneOf("age", tuple(range(n * 10_000 + 30, (n + 1) * 10_000))) for n in range(60)]
    assert eids(people, Or(tuple(lists))) == ["1", "3", "10"]


def test_hundreds_of_alternatives_can_be_asked_for_at_once(people: Any) -> None:
    alternatives = Or(tuple(OneOf("age", (age,)) for age in range(3000)))
    assert eids(people, And((alternatives, Not(OneOf("eid", (1,)))))) == ["3", "10"]


def test_too_deeply_nested_conditions_are_refused(people: Any) -> None:
    deep: Where = EVERYTHING
    for _ in range(200):
        deep = Not(deep)
    with pytest.raises(QueryTooLarge, match="nested 100 deep"):
        people.queries.count("p", deep)


def test_unknown_types_and_paths_have_nothing(people: Any) -> None:
    assert people.queries.find("nobody", order=[Order("x")]) == []
    assert (
        people.queries.count("nobody"),
        people.queries.distinct("p", "x"),
        people.queries.latest("x", ["1"]),
    ) == (0, {}, {})
    assert eids(people, OneOf("x", (1,))) == []


def test_the_state_knows_where_there_ever_were_keys(store: Any, lease: Lease) -> None:
    entities = {1: {"eid": {1}, "risk.level": {"high"}, "note#long": {1}, "name": {"ann"}}}
    with_snapshots(store, lease, a_run(store, 1000), "p", entities)
    known = [["risk"], ["risk.level"], ["name"], ["x", "note#long"]]
    unknown = [["ris"], ["risk.lev"], ["risk.level.x"], ["name."], ["note"], ["%"], []]
    assert all(store.queries.ever_had_keys("p", paths) for paths in known)
    assert not any(store.queries.ever_had_keys("p", paths) for paths in unknown)
    assert not store.queries.ever_had_keys("nobody", ["name"])
    assert sorted(store.queries.first_steps("p")) == ["eid", "name", "note#long", "risk"]


def test_pages_can_be_skipped_and_continued(people: Any) -> None:
    first = people.queries.find("p", order=[Order("age")], limit=2)
    rest = people.queries.find("p", order=[Order("age")], limit=None, after=first[-1].cursor)
    assert [found.eid for found in first + rest] == eids(people, EVERYTHING, Order("age"))
    assert eids(people, skip=1, limit=2) == ["2", "3"]
    assert eids(people, limit=0) == []


@pytest.mark.parametrize("cursor", ["", "é", "AAAA", "%%%", "x" * 400])
def test_a_damaged_cursor_is_a_mistake(people: Any, cursor: str) -> None:
    with pytest.raises(ValueError, match="is no cursor"):
        people.queries.find("p", after=cursor)


@pytest.mark.parametrize("place", [{"a": 1}, [1], 2**64 - 1, True])
def test_a_made_up_cursor_is_a_mistake(people: Any, place: Any) -> None:
    question, (eid, _) = msgspec.msgpack.decode(urlsafe_b64decode(people.queries.find("p")[0].cursor))
    made_up = urlsafe_b64encode(msgspec.msgpack.encode([question, [eid, place]])).decode()
    with pytest.raises(ValueError, match="is no cursor"):
        people.queries.find("p", after=made_up)


def test_a_cursor_of_another_question_is_a_mistake(people: Any) -> None:
    (found, *_) = people.queries.find("p", OneOf("age", (30,)), [Order("age")])
    for where, order in ((EVERYTHING, [Order("age")]), (OneOf("age", (30,)), [Order("name")])):
        with pytest.raises(ValueError, match="cursor is of another question"):
            people.queries.find("p", where, order, after=found.cursor)


def test_distinct_counts_the_entities_of_each_key(people: Any) -> None:
    assert people.queries.distinct("p", "tags") == {7: 1, "a": 2, "b": 2}
    assert people.queries.distinct("p", "age") == {25.5: 1, 30: 2, 61: 1}


def test_everything_is_counted_without_looking(people: Any) -> None:
    assert people.queries.count("p") == 4
    assert people.queries.count("p", Or((OneOf("age", (30,)), OneOf("tags", ("b",))))) == 3
    assert people.queries.count("p", Or(())) == 0


def test_the_latest_snapshots_of_many_entities(people: Any) -> None:
    latest = people.queries.latest("p", ["10", "2", "99"])
    assert {eid: found.doc for eid, found in latest.items()} == {"2": b"2", "10": b"10"}
    assert latest["2"] == people.queries.find("p", OneOf("eid", (2,)))[0]._replace(cursor=latest["2"].cursor)
    assert [found.eid for found in people.queries.find("p", after=latest["2"].cursor)] == ["3", "10"]


def test_the_time_of_a_snapshot_is_that_of_the_newest_run_that_covers_it(store: Any, lease: Lease) -> None:
    first = a_run(store, 1000)
    with_snapshots(store, lease, first, "p", {1: {"eid": {1}}, 2: {"eid": {2}}})
    completed(store, lease, first)
    close(store, first)
    second = a_run(store, 2000)
    written(store, lease, second, {}, missing=[2])
    assert {found.run_time for found in store.queries.find("p")} == {1000}, "not completed yet"
    completed(store, lease, second)
    assert [found.run_time for found in store.queries.find("p")] == [2000, 1000]


def test_a_row_of_a_run_at_work_has_the_time_of_that_run(store: Any, lease: Lease) -> None:
    first = a_run(store, 1000)
    with_snapshots(store, lease, first, "p", {1: {"eid": {1}}})
    completed(store, lease, first)
    close(store, first)
    second = a_run(store, 2000)
    written(store, lease, second, {1: b"new"})
    assert [(found.run_time, found.doc) for found in store.queries.find("p")] == [(2000, b"new")]


def test_changed_keys_are_found_and_old_ones_are_not(people: Any, lease: Lease) -> None:
    old, new = indexed(people, "p", 1, {"age": {30}}), indexed(people, "p", 1, {"age": {31}})
    written(people, lease, 1, {1: b"x"}, keys_added=new, keys_removed=old)
    assert eids(people, OneOf("age", (30,))) == ["3"]
    assert eids(people, OneOf("age", (31,))) == ["1"]


def test_values_that_can_not_be_ordered_are_not_indexed(store: Any, lease: Lease) -> None:
    with_snapshots(store, lease, a_run(store, 1000), "p", {1: {"eid": {1}, "x": {float("nan")}}})
    assert store.queries.distinct("p", "x") == {}
    assert eids(store, OneOf("x", (float("nan"),))) == []


def test_integers_beyond_64_bits_are_compared_as_floats(store: Any, lease: Lease) -> None:
    big = 2**2000
    entities = {1: {"eid": {1}, "x": {2**70}}, 2: {"eid": {2}, "x": {big}}, 3: {"eid": {3}, "x": {-big}}}
    with_snapshots(store, lease, a_run(store, 1000), "p", entities)
    assert eids(store, EVERYTHING, Order("x")) == ["3", "1", "2"]
    assert eids(store, OneOf("x", (2**70,))) == ["1"]


def test_an_entity_made_again_has_no_snapshot_until_the_next_run(people: Any, lease: Lease) -> None:
    people.batches.commit(lease, Batch(deleted=[1], created=[entity_row(people, "1", 11, "p")]))
    assert eids(people) == ["2", "3", "10"]
    assert people.queries.latest("p", ["1"]) == {}


def test_a_question_that_takes_too_long_is_stopped(open_state: Any) -> None:
    store = open_state(query_limit_s=0.0)
    entities = {n: {"eid": {n}, "name": {str(n)}} for n in range(1, 4000)}
    with_snapshots(store, take_lease(store), a_run(store, 1000), "p", entities)
    with pytest.raises(QueryTooSlow, match="the question about 'p' took longer than 0 s"):
        store.queries.count("p", Not(OneOf("name", ("1",))))
    with pytest.raises(QueryTooSlow, match="ask for fewer entities"):
        store.queries.find("p")
    with pytest.raises(QueryTooSlow, match="took longer than 0 s"):
        store.queries.count("p", TextMatches("name", "nobody"))
    assert store.snapshots.of("p", "none") == [], "the connection is as good as new"
