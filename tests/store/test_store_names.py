"""Numbers of entity types and attributes."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from dp3.store.ports.state import State


def test_a_name_keeps_its_number(store: State) -> None:
    assert store.names.etype_id("device") == store.names.etype_id("device")
    assert store.names.attr_id("device", "name") == store.names.attr_id("device", "name")


def test_different_names_have_different_numbers(store: State) -> None:
    pairs = [("device", "name"), ("device", "load"), ("bus", "name")]
    assert len({store.names.attr_id(*pair) for pair in pairs}) == 3
    assert store.names.etype_id("device") != store.names.etype_id("bus")


def test_numbers_are_the_same_in_all_processes(store: State, open_state: Callable[..., State]) -> None:
    other = open_state()
    number = other.names.attr_id("device", "name")
    assert store.names.attr_id("device", "name") == number
    assert open_state().names.attr_id("device", "name") == number


def test_threads_that_ask_for_a_new_name_at_once_agree(store: State) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(lambda _: store.names.attr_id("device", "name"), range(50)))) == 1
