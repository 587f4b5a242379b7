"""Numbers of entity types and attributes."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from dp3.store.port import Store


def test_a_name_keeps_its_number(store: Store) -> None:
    assert store.etype_id("device") == store.etype_id("device")
    assert store.attr_id("device", "name") == store.attr_id("device", "name")


def test_different_names_have_different_numbers(store: Store) -> None:
    pairs = [("device", "name"), ("device", "load"), ("bus", "name")]
    assert len({store.attr_id(*pair) for pair in pairs}) == 3
    assert store.etype_id("device") != store.etype_id("bus")


def test_numbers_are_the_same_in_all_processes(store: Store, open_state: Callable[..., Store]) -> None:
    other = open_state()
    number = other.attr_id("device", "name")
    assert store.attr_id("device", "name") == number
    assert open_state().attr_id("device", "name") == number


def test_threads_that_ask_for_a_new_name_at_once_agree(store: Store) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(lambda _: store.attr_id("device", "name"), range(50)))) == 1
