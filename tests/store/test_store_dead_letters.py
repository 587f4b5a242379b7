"""What failed is kept, within a limit."""

from collections.abc import Callable

import pytest

from dp3.store.ports.batches import Batch
from dp3.store.ports.leases import Lease
from dp3.store.ports.state import State
from kit.rows import a_letter, take_lease


def test_a_dead_letter_comes_back_as_it_was_kept(store: State, lease: Lease) -> None:
    letter = a_letter(context={"attr": "a", "nested": [1, {"x": None}]}, task=b"\x00\xff")
    store.batches.commit(lease, Batch(dead_letters=[letter]))
    [(id_, stored)] = store.dead_letters.page(0, 10)
    assert stored == letter
    assert store.dead_letters.get(id_) == stored


def test_an_unknown_dead_letter_is_none(store: State) -> None:
    assert store.dead_letters.get(1) is None


def test_dead_letters_are_paged_in_order(store: State, lease: Lease) -> None:
    store.batches.commit(lease, Batch(dead_letters=[a_letter(eid=str(number)) for number in range(5)]))
    seen: list[str] = []
    after = 0
    while page := store.dead_letters.page(after, 2):
        seen += [letter.eid for _, letter in page]
        after, _ = page[-1]
    assert seen == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("name", ["kind", "module", "hook", "etype", "eid"])
def test_dead_letters_can_be_filtered(store: State, lease: Lease, name: str) -> None:
    other = a_letter(**{name: "other"})
    store.batches.commit(lease, Batch(dead_letters=[a_letter(), other, a_letter(), other]))
    found = store.dead_letters.page(0, 10, {name: "other"})
    assert [letter for _, letter in found] == [other, other]
    assert store.dead_letters.page(found[0][0], 10, {name: "other"}) == found[1:]
    assert store.dead_letters.page(0, 1, {name: "other"}) == found[:1]


def test_a_part_of_the_reason_is_a_filter(store: State, lease: Lease) -> None:
    reasons = ("ValueError: no", "ValueError: not 100 %", "KeyError: 'no'")
    store.batches.commit(lease, Batch(dead_letters=[a_letter(reason=reason) for reason in reasons]))
    found = store.dead_letters.page(0, 10, {"reason": "100 %"})
    assert [letter.reason for _, letter in found] == ["ValueError: not 100 %"]
    assert store.dead_letters.count({"reason": "ValueError"}) == 2


@pytest.mark.parametrize("filters", [None, {"kind": "hook"}])
def test_dead_letters_are_paged_with_the_newest_first(
    store: State, lease: Lease, filters: dict[str, str] | None
) -> None:
    store.batches.commit(lease, Batch(dead_letters=[a_letter(eid=str(number)) for number in range(5)]))
    seen: list[str] = []
    after = 0
    while page := store.dead_letters.page(after, 2, filters, newest_first=True):
        seen += [letter.eid for _, letter in page]
        after, _ = page[-1]
    assert seen == ["4", "3", "2", "1", "0"]


def test_dead_letters_are_counted_by_hook_and_reason_with_the_newest_first(
    store: State, lease: Lease
) -> None:
    letters = [
        *(a_letter(time=number, reason="ValueError: no") for number in range(20)),
        a_letter(time=20, hook="other", reason="ValueError: no"),
        *(a_letter(time=30 + number, reason="TimeoutError: late") for number in range(5)),
        a_letter(time=9, reason="ValueError: no"),
    ]
    store.batches.commit(lease, Batch(dead_letters=letters))
    groups = store.dead_letters.groups(10)
    assert [(group.hook, group.reason, group.letters) for group in groups] == [
        ("on_new_attr", "ValueError: no", 21),
        ("on_new_attr", "TimeoutError: late", 5),
        ("other", "ValueError: no", 1),
    ]
    assert (groups[0].first, groups[0].last, groups[0].reasons) == (0, 19, 1)
    newest, _ = store.dead_letters.page(0, 1, newest_first=True)[0]
    assert groups[0].newest == newest
    assert store.dead_letters.groups(1) == groups[:1]
    assert store.dead_letters.groups(10, {"hook": "other"}) == groups[2:]


def test_reasons_that_name_their_entity_are_one_group_and_a_frequent_one_stands_alone(
    store: State, lease: Lease
) -> None:
    letters = [
        *(a_letter(reason="KeyError: 'name'") for _ in range(20)),
        *(a_letter(reason=f"KeyError: '10.0.0.{number}'") for number in range(30)),
    ]
    store.batches.commit(lease, Batch(dead_letters=letters))
    groups = store.dead_letters.groups(10)
    assert [(group.reason, group.reasons, group.letters) for group in groups] == [
        ("KeyError: '10.0.0.29'", 30, 30),
        ("KeyError: 'name'", 1, 20),
    ]


def test_filters_narrow_together(store: State, lease: Lease) -> None:
    store.batches.commit(lease, Batch(dead_letters=[a_letter(eid="1"), a_letter(eid="1", kind="task")]))
    [(_, found)] = store.dead_letters.page(0, 10, {"eid": "1", "kind": "task"})
    assert found.kind == "task"


def test_an_unknown_filter_is_refused_by_name(store: State) -> None:
    names = "kind, module, hook, etype, eid, reason"
    with pytest.raises(ValueError, match=rf"filtered by {names}, got \['colour'\]"):
        store.dead_letters.page(0, 10, {"colour": "red"})


def test_removed_dead_letters_are_gone(store: State, lease: Lease) -> None:
    store.batches.commit(lease, Batch(dead_letters=[a_letter(eid="1"), a_letter(eid="2")]))
    first = store.dead_letters.page(0, 1)[0][0]
    store.batches.commit(lease, Batch(dead_letters_removed=[first, 12345]))
    assert [letter.eid for _, letter in store.dead_letters.page(0, 10)] == ["2"]
    assert store.dead_letters.count() == 1


def test_dead_letters_beyond_the_limit_are_only_counted(open_state: Callable[..., State]) -> None:
    store = open_state(max_dead_letters=3)
    lease = take_lease(store)
    store.batches.commit(lease, Batch(dead_letters=[a_letter()] * 2))
    store.batches.commit(lease, Batch(dead_letters=[a_letter()] * 4))
    assert store.dead_letters.count() == len(store.dead_letters.page(0, 10)) == 3
    assert store.counters.all() == {"dead_letters_dropped": 3}


def test_removing_dead_letters_makes_room_in_the_same_batch(open_state: Callable[..., State]) -> None:
    store = open_state(max_dead_letters=1)
    lease = take_lease(store)
    store.batches.commit(lease, Batch(dead_letters=[a_letter(eid="old")]))
    old = store.dead_letters.page(0, 1)[0][0]
    store.batches.commit(lease, Batch(dead_letters=[a_letter(eid="new")], dead_letters_removed=[old]))
    assert [letter.eid for _, letter in store.dead_letters.page(0, 10)] == ["new"]
    assert store.counters.all() == {}


def test_a_message_that_has_no_utf8_form_is_kept_readable(store: State, lease: Lease) -> None:
    store.batches.commit(lease, Batch(dead_letters=[a_letter(reason="no file \udcff", traceback="\ud800")]))
    [(_, letter)] = store.dead_letters.page(0, 1)
    assert (letter.reason, letter.traceback) == ("no file \\udcff", "\\ud800")
