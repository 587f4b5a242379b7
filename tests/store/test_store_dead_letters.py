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
    [stored] = store.dead_letters.page(0, 10)
    assert stored.letter == letter
    assert store.dead_letters.get(stored.id) == stored


def test_an_unknown_dead_letter_is_none(store: State) -> None:
    assert store.dead_letters.get(1) is None


def test_dead_letters_are_paged_in_order(store: State, lease: Lease) -> None:
    store.batches.commit(lease, Batch(dead_letters=[a_letter(eid=str(number)) for number in range(5)]))
    seen: list[str] = []
    after = 0
    while page := store.dead_letters.page(after, 2):
        seen += [stored.letter.eid for stored in page]
        after = page[-1].id
    assert seen == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("name", ["kind", "module", "hook", "etype", "eid"])
def test_dead_letters_can_be_filtered(store: State, lease: Lease, name: str) -> None:
    other = a_letter(**{name: "other"})
    store.batches.commit(lease, Batch(dead_letters=[a_letter(), other, a_letter(), other]))
    found = store.dead_letters.page(0, 10, {name: "other"})
    assert [stored.letter for stored in found] == [other, other]
    assert store.dead_letters.page(found[0].id, 10, {name: "other"}) == found[1:]
    assert store.dead_letters.page(0, 1, {name: "other"}) == found[:1]


def test_filters_narrow_together(store: State, lease: Lease) -> None:
    store.batches.commit(lease, Batch(dead_letters=[a_letter(eid="1"), a_letter(eid="1", kind="task")]))
    [found] = store.dead_letters.page(0, 10, {"eid": "1", "kind": "task"})
    assert found.letter.kind == "task"


def test_an_unknown_filter_is_refused_by_name(store: State) -> None:
    with pytest.raises(ValueError, match=r"filtered by kind, module, hook, etype, eid, got \['colour'\]"):
        store.dead_letters.page(0, 10, {"colour": "red"})


def test_removed_dead_letters_are_gone(store: State, lease: Lease) -> None:
    store.batches.commit(lease, Batch(dead_letters=[a_letter(eid="1"), a_letter(eid="2")]))
    first = store.dead_letters.page(0, 1)[0].id
    store.batches.commit(lease, Batch(dead_letters_removed=[first, 12345]))
    assert [stored.letter.eid for stored in store.dead_letters.page(0, 10)] == ["2"]
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
    old = store.dead_letters.page(0, 1)[0].id
    store.batches.commit(lease, Batch(dead_letters=[a_letter(eid="new")], dead_letters_removed=[old]))
    assert [stored.letter.eid for stored in store.dead_letters.page(0, 10)] == ["new"]
    assert store.counters.all() == {}


def test_a_message_that_has_no_utf8_form_is_kept_readable(store: State, lease: Lease) -> None:
    store.batches.commit(lease, Batch(dead_letters=[a_letter(reason="no file \udcff", traceback="\ud800")]))
    [stored] = store.dead_letters.page(0, 1)
    assert (stored.letter.reason, stored.letter.traceback) == ("no file \\udcff", "\\ud800")
